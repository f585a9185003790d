"""Text that a language model makes up."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lt_lightning.data.tokenizer import PADDING, UNKNOWN
from lt_lightning.models.rnn.tagger import Tagger


@torch.no_grad()
def sample_letters(network: Tagger, prompt: Sequence[int], length: int, temperature: float, seed: int) -> list[int]:
    """Draw letters one after another, each from the network's probabilities after those before it.

    Args:
        network: a language model over a vocabulary with `<unk>` and `<pad>`, in eval mode.
        prompt: the letters that the text begins with.
        length: draw at most so many; the text may end before.
        temperature: the logits are divided by it: below 1 likely letters are drawn even more often, above 1 less
            often; 0 always takes the likeliest.
        seed: seeds the draws: on one machine the same network and seed give the same letters.

    Returns:
        The drawn letters, without the prompt; none after logits that are not finite.
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
    if not logits.isfinite().all():  # a network that has diverged says nothing
        return PADDING
    logits[UNKNOWN] = -torch.inf  # stands for letters that have no number: there is nothing to write
    if temperature == 0:
        return int(logits.argmax())
    # From the largest down, so that a small temperature ends in zeros and not in infinities.
    weights = ((logits - logits.max()) / temperature).exp()
    return int(torch.multinomial(weights, 1, generator=generator))
