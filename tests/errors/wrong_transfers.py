"""Tickets that a run cannot start from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from observing import Case, Kind, train
from samples import CSV, make_corpus

from lt_lightning.tickets.file import Packed
from lt_lightning.tickets.header import expected_shapes
from lt_lightning.tickets.parameters import Parameter

Change = Callable[[Path], object]
MODEL = {"name": "cnn", "filters": 2, "widths": [3, 4, 5]}
RECURRENT = {"name": "birnn", "cell": "gru", "hidden": 3, "layers": 1, "bidirectional": False}
RNN = ("model=birnn", "model.hidden=3", "model.layers=1", "model.bidirectional=false")
ABOUT = {"model": MODEL, "embedding_dim": 2, "words": 4, "splitter": "words", "class_names": ["a", "b"]}
GIVEN = "pruning.ticket=ticket.safetensors"


def make_ticket(path: Path, knows_first: bool = True, words: tuple[str, str] = ("good", "film"), **about: Any) -> None:
    """A ticket of a network of two words."""
    said: dict[str, Any] = {"max_length": None, **ABOUT, "corpus": "films", "round": 3, **about}
    parameters = {
        name: Parameter(shape, np.ones(int(np.prod(shape)), np.float32), None, True)
        for name, shape in expected_shapes(said).items()
    }
    begun = {name: parameter.values for name, parameter in parameters.items()} if knows_first else None
    Packed(parameters, words, np.array([2, 3]), begun, said).save(path)


def make_run(folder: Path) -> None:
    """What is enough to see that a folder is a run's."""
    folder.mkdir()
    (folder / "run.json").write_text("{}")


def _case(
    wrong: str, names: Sequence[str], *arguments: str, change: Change = lambda _: None, knows_first: bool = True,
    about: Mapping[str, Any] | None = None, words: tuple[str, str] = ("good", "film"), leaves: Sequence[str] = (),
) -> Case:  # fmt: skip
    def make(folder: Path) -> list[str]:
        make_ticket(folder / "ticket.safetensors", knows_first, words, **(about or {}))
        change(folder / "ticket.safetensors")
        given = make_corpus(folder, {"train.csv": CSV, "test.csv": CSV})
        if any(one.startswith("model=") for one in arguments):  # another model does not read `model.filters`
            given = [one for one in given if not one.startswith("model.")]
        return [*given, *arguments]

    return Case(wrong, make, tuple(names), train, tuple(leaves))


LATER = ("run/.hydra/*", "run/train.log", "run/state/lock")
DRAWN = {"seed": 0, "words": 4, "embedding_std": 1.0, "witness": {name: [0.5] for name in expected_shapes(ABOUT)}}
WHOLE = {**MODEL, "initializer": "xavier", "kernel": "fast", "dropout": 0.5}

CASES = (
    _case("nothing", ["pruning.ticket", "lt_lightning.export RUN"], "pruning.ticket=''"),
    _case("none, where an experiment asks for it", ["pruning.ticket", "lt_lightning"], "+experiment=transfer_imdb",
          "hydra.mode=RUN"),
    _case("no such file", ["pruning.ticket", "elsewhere.safetensors", "no such file"],
          "pruning.ticket=elsewhere.safetensors"),
    _case("a run", ["pruning.ticket: found is a run", "python -m lt_lightning.export found --round N"],
          "pruning.ticket=found", change=lambda path: make_run(path.parent / "found")),
    _case("a file that is no ticket", ["pruning.ticket", "corpus/train.csv"], "pruning.ticket=corpus/train.csv"),
    _case("a ticket that is cut off", ["pruning.ticket", "ticket.safetensors", "cut off"], GIVEN,
          change=lambda path: path.write_bytes(path.read_bytes()[:-5])),
    _case("a ticket of other filters", ["model.filters: 3", "ticket.safetensors has 2"], GIVEN, "model.filters=3"),
    _case("a ticket of other widths", ["model.widths", "[2, 3]", "[3, 4, 5]"], GIVEN, "model.widths=[2,3]"),
    _case("a ticket of longer vectors", ["embedding.dim: 3", "has 2"], GIVEN, "embedding.dim=3"),
    _case("a ticket of another kind of network", ["model: birnn", "has cnn"], GIVEN, *RNN),
    _case("a ticket of other cells", ["model.cell: lstm", "has gru"], GIVEN, *RNN, "model.cell=lstm",
          about={"model": RECURRENT}),
    _case("a ticket of letters", ["data.tokenizer: words", "has letters"], GIVEN, about={"splitter": "letters"}),
    _case("a ticket that was cut smaller", ["pruning.ticket", "ticket.safetensors", "--shrink"], GIVEN,
          about={"shrunk": {"filters": [100, 2]}}),
    _case("a network that has no tickets", ["pruning.ticket", "model=char_lm"], GIVEN, "model=char_lm",
          "data.tokenizer=letters"),
    _case("first weights that the ticket does not tell", ["pruning.ticket", "--first-weights", "pruning.rewind=random"],
          GIVEN, knows_first=False),
    _case("first weights that nobody knows, of a run from a ticket", ["rewind random", "began with a ticket", "none"],
          GIVEN, knows_first=False, about={"full_test_acc": None, "pruning": {"rewind": "random"}}),
    _case("first weights that nobody knows, of a run from vectors", ["rewind last", "embedding=glove", "random"],
          GIVEN, knows_first=False, about={"embedding": "glove", "pruning": {"rewind": "last"}}),
    _case("a ticket without a word in common", ["pruning.ticket", "none of the 2 living words", "ticket.safetensors"],
          GIVEN, words=("gut", "kino"), leaves=LATER),
    _case("first weights that are drawn otherwise here", ["pruning.ticket", "weights of", "--first-weights"], GIVEN,
          knows_first=False, about={"first": DRAWN, "model": WHOLE}, leaves=LATER),
    _case("first weights for other words", ["pruning.ticket", "ticket.safetensors", "'5' words, the ticket has 4"],
          GIVEN, knows_first=False, about={"first": {**DRAWN, "words": 5}, "model": WHOLE}),
    _case("nothing of the ticket is pruned", ["pruning.include", "ticket.safetensors"], GIVEN,
          "pruning.include=[fc.*]", about={"class_names": ["a", "b", "c"]}, leaves=LATER),
)  # fmt: skip

KIND = Kind(
    11,
    "Tickets to start from",
    "Given to `python -m lt_lightning.train data=files data.path=corpus`, beside a ticket.",
    CASES,
)
