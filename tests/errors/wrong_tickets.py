"""Wrong tickets."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from observing import Case, Kind, load_ticket
from safetensors.torch import save

from lt_lightning.lottery import Mask
from lt_lightning.runs.round_ticket import RoundTicket
from lt_lightning.storage.sealed import write_sealed

WEIGHTS = {"w": torch.ones(2), "mask/w": torch.tensor([True, False])}
SAYS = {"format": "lt-lightning ticket", "version": "2", "about": {}, "tokenizer": "{}"}


def _ticket(wrong: str, damage: Callable[[Path], object], *names: str) -> Case:
    """A sound ticket, damaged."""

    def make(folder: Path) -> list[str]:
        path = folder / "round_00.safetensors"
        RoundTicket({"w": torch.tensor([1.0, 0.0])}, Mask({"w": torch.tensor([True, False])}), {}, "{}").save(path)
        damage(path)
        return [path.name]

    return Case(wrong, make, ("round_00.safetensors", *names), load_ticket)


def _bytes(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(change(path.read_bytes()))


def _says(tensors: dict[str, torch.Tensor] = WEIGHTS, **says: Any) -> Callable[[Path], object]:
    """Another ticket, which says of itself what ours does, but for these."""
    return lambda path: write_sealed(path, tensors, {**SAYS, **says})


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


CASES = (
    _ticket("no such file", Path.unlink, "no such file"),
    _ticket("a folder", _folder, "not a file"),
    _ticket("an empty file", _bytes(lambda _: b""), "cut off"),
    _ticket("cut off in its weights", _bytes(lambda content: content[:-3]), "cut off"),
    _ticket("cut off in its header", _bytes(lambda content: content[:30]), "cut off"),
    _ticket("a bit of its length is wrong", _bytes(lambda content: content[:7] + b"\x80" + content[8:]), "cut off"),
    _ticket("a bit of its header is wrong", _bytes(lambda content: content[:20] + b"\xff" + content[21:]), "damaged"),
    _ticket("a bit of its weights is wrong", _bytes(lambda content: content[:-1] + b"\x02"), "checksum"),
    _ticket("a bit of its words is wrong", _bytes(lambda content: content.replace(b'"{}', b'"{|')), "checksum"),
    _ticket("weights that `torch.save` wrote", lambda path: torch.save({"w": torch.ones(2)}, path), "safetensors"),
    _ticket("weights of someone else's", _bytes(lambda _: save(WEIGHTS)), "not a lt-lightning ticket"),
    _ticket("another version", _says(version="99"), "version '99'", "version '3'"),
    _ticket("another format", _says(format="a lot"), "'a lot'", "lt-lightning ticket"),
    _ticket("no JSON in it", _bytes(lambda _: save(WEIGHTS, {"lt_lightning": "{"})), "damaged"),
    _ticket("100,000 brackets", _bytes(lambda _: save(WEIGHTS, {"lt_lightning": "[" * 100_000})), "damaged"),
    _ticket("nothing about itself", _says(about=None), "settings"),
    _ticket("no words", _says(tokenizer=None), "words"),
    _ticket("a mask of numbers", _says({"w": torch.ones(2), "mask/w": torch.ones(2)}), "mask of 'w'"),
    _ticket("a mask of another shape", _says({"w": torch.ones(2), "mask/w": torch.ones(3) > 0}), "mask of 'w'"),
    _ticket(
        "a pruned weight that is not zero",
        _says({"w": torch.ones(2), "mask/w": torch.tensor([True, False])}),
        "pruned entries of 'w'",
    ),
    _ticket("a mask of no weights", _says({"mask/w": torch.ones(2) > 0}), "mask of 'w'"),
)

KIND = Kind(8, "Tickets", "Given to `RoundTicket.load`, by whatever reads a ticket.", CASES)
