"""Write a ticket in standard formats: dense weights and a tokenizer."""

from __future__ import annotations

from pathlib import Path

from lt_lightning.runs.round_ticket import RoundTicket
from lt_lightning.storage.atomic import write_whole, writing_to


def write_state_dict(ticket: RoundTicket, path: Path) -> None:
    """Write the weights as a plain safetensors file for `network.load_state_dict`: dense, zeros where pruned, no masks.

    The metadata `format: pt` tells other libraries that names and layout are torch's.

    Raises:
        WriteError: the file cannot be written.
    """
    from safetensors.torch import save

    weights = {name: weight.detach().cpu().contiguous() for name, weight in ticket.weights.items()}
    with writing_to(path.parent):
        write_whole(path, save(weights, {"format": "pt"}))


def write_tokenizer(ticket: RoundTicket, path: Path) -> None:
    """Write the tokenizer for `Tokenizer.from_file`; with `data.tokenizer=spacy`, it expects spaCy's words.

    Raises:
        WriteError: the file cannot be written.
    """
    with writing_to(path.parent):
        write_whole(path, ticket.tokenizer)
