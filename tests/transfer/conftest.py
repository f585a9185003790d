"""Two small corpora that share some words, runs on them, and what their networks are as each round starts."""

import json
import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lt_lightning.runs.packing import pack_ticket
from lt_lightning.runs.round_ticket import RoundTicket
from lt_lightning.runs.rounds import ticket_path
from lt_lightning.tickets.file import Packed

SMALL = (
    "data=files", "model=cnn", "model.filters=4", "embedding.dim=6", "embedding.std=0.3", "data.batch_size=16",
    "trainer=cpu", "trainer.max_epochs=1", "optimizer.lr=0.02",
)  # fmt: skip
COMMON = ["the", "a", "of", "and", "with", "some", "very", "old", "new", "here"]
THEMES = {
    "three": {"animals": "cat dog horse cow sheep", "food": "bread cheese apple soup rice", "tools": "saw drill nail"},
    "two": {"drinks": "milk soup tea", "pets": "dog parrot cat hamster"},
}


@dataclass(frozen=True)
class Played:
    """A run, and the weights of its network as training began in each round that was played."""

    folder: Path
    starts: list[dict[str, Tensor]]

    @property
    def described(self) -> dict[str, Any]:
        return json.loads((self.folder / "run.json").read_text(encoding="utf-8"))

    def ticket(self, number: int) -> RoundTicket:
        return RoundTicket.load(ticket_path(self.folder, number))

    @property
    def words(self) -> list[str]:
        numbers = json.loads(self.ticket(0).tokenizer)["model"]["vocab"]
        return sorted(numbers, key=numbers.__getitem__)


Play = Callable[..., Played]


@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("corpora")
    for name, themes in THEMES.items():
        rng, classes = random.Random(len(name)), list(themes)
        (base / name).mkdir()
        for split, rows in (("train", 90), ("test", 40)):
            with (base / name / f"{split}.jsonl").open("w") as file:
                for row in range(rows):
                    label = classes[row % len(classes)]
                    theme = themes[label].split()
                    words = [rng.choice(theme if rng.random() < 0.5 else COMMON) for _ in range(rng.randint(2, 9))]
                    file.write(json.dumps({"text": " ".join(words), "label": label}) + "\n")
    return base


@pytest.fixture(scope="session")
def play(
    corpora: Path, run_settings: Callable[..., Path], watch_starts: Callable[..., AbstractContextManager[None]]
) -> Play:
    """Run settings on one of the corpora and note the weights that each round starts with."""

    def play(corpus: str, *overrides: str, folder: Path | None = None, resuming: bool = False) -> Played:
        starts: list[dict[str, Tensor]] = []
        common = [*SMALL, f"data.path={corpora / corpus}"]
        with watch_starts(starts):
            return Played(run_settings(common, *overrides, run=folder, resuming=resuming), starts)

    return play


@pytest.fixture(scope="session")
def source(play: Play) -> Played:
    return play("three", "pruning.rounds=3", "pruning.amount=0.4", "seed=3")


Pack = Callable[..., Path]


@pytest.fixture(scope="session")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """Packs the ticket of a round; its first weights are drawn again, or are in it with `keep`."""

    def pack(played: Played, number: int, *, keep: bool = False, **about: Any) -> Path:
        path, said = tmp_path_factory.mktemp("packed") / "ticket.safetensors", played.described
        ticket, begun = played.ticket(number), played.starts[0]
        first: dict[str, Any] = {
            "seed": said["seed"], "words": said["vocabulary"]["words"],
            "embedding_std": said["config"]["embedding"]["std"], "witness": {},
        }  # fmt: skip
        packed = pack_ticket(ticket, {"run": played.folder.name, "first": first, **about})
        for name, parameter in packed.parameters.items():
            places = slice(None) if parameter.places is None else torch.from_numpy(parameter.places)
            first["witness"][name] = begun[name].flatten()[places][:4].tolist()
        weights = begun if keep else None
        pack_ticket(ticket, {"run": played.folder.name, "first": None if keep else first, **about}, first=weights).save(
            path
        )
        Packed.load(path)
        return path

    return pack
