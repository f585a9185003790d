"""A ticket for programs that know nothing of tickets: dense weights and a tokenizer, as their libraries have them."""

from __future__ import annotations

from pathlib import Path

from lt_lightning.runs.round_ticket import RoundTicket
from lt_lightning.storage.atomic import write_whole, writing_to


def write_state_dict(ticket: RoundTicket, path: Path) -> None:
    """Write the weights as a plain safetensors file, whole or not at all.

    Args:
        ticket: what a round trained.
        path: the file; its folder must exist. It holds what `network.load_state_dict` takes: every parameter under its
            own name, dense, zeros where the ticket is pruned, and no masks. Metadata say `format: pt`, which is how
            other libraries know that names and layout are torch's.

    Raises:
        WriteError: the file cannot be written.
    """
    from safetensors.torch import save

    weights = {name: weight.detach().cpu().contiguous() for name, weight in ticket.weights.items()}
    with writing_to(path.parent):
        write_whole(path, save(weights, {"format": "pt"}))


def write_tokenizer(ticket: RoundTicket, path: Path) -> None:
    """Write the words as the `tokenizers` library does, whole or not at all.

    Args:
        ticket: what a round trained.
        path: the file; its folder must exist. `Tokenizer.from_file` reads it and gives texts the ids that the network
            was trained on; of a run with `data.tokenizer=spacy`, the words that spaCy makes of texts.

    Raises:
        WriteError: the file cannot be written.
    """
    with writing_to(path.parent):
        write_whole(path, ticket.tokenizer)
