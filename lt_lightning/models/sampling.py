"""Draw text from a language model."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lt_lightning.data.tokenizer import PADDING, UNKNOWN
from lt_lightning.models.rnn.tagger import Tagger


@torch.no_grad()
def sample_letters(network: Tagger, prompt: Sequence[int], length: int, temperature: float, seed: int) -> list[int]:
    """Draw up to `length` letters, each from the network's probabilities after the prompt and those before it.

    Args:
        network: a language model over a vocabulary with `<unk>` and `<pad>`, in eval mode.
        prompt: the first letters of the text.
        length: the maximum number of letters; the text may end earlier.
        temperature: divides the logits: below 1 likely letters become likelier, above 1 less likely; 0 takes the
            likeliest.
        seed: on one machine the same network and seed give the same letters.

    Returns:
        The drawn letters; none after logits that are not finite.
    """
    device = next(network.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    logits, state = network.read(torch.tensor([[PADDING, *prompt]], device=device))
    letters: list[int] = []
    while len(letters) < length:
        letter = _draw(logits[0, -1].float().cpu(), temperature, generator)
        if letter == PADDING:
            break
        letters.append(letter)
        logits, state = network.read(torch.tensor([[letter]], device=device), state)
    return letters


def _draw(logits: Tensor, temperature: float, generator: torch.Generator) -> int:
    if not logits.isfinite().all():  # training diverged
        return PADDING
    logits[UNKNOWN] = -torch.inf  # cannot be written
    if temperature == 0:
        return int(logits.argmax())
    # Relative to the largest, so that a small temperature leads to zeros, not to infinity.
    weights = ((logits - logits.max()) / temperature).exp()
    return int(torch.multinomial(weights, 1, generator=generator))
