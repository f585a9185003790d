"""The weights that a ticket's run began with, drawn again: the same, or not believed."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lt_lightning.errors import SettingError
from lt_lightning.experiment.transfer.starting import (
    NOWHERE,
    draw_first_weights,
    first_values,
    match_rows,
    scatter,
    take_rows,
)
from lt_lightning.export.__main__ import main as export
from lt_lightning.tickets.file import Packed
from lt_lightning.tickets.header import check_recipe, expected_shapes


@pytest.mark.parametrize("flags", [[], ["--first-weights"]], ids=["drawn again", "in the file"])
def test_an_exported_ticket_knows_what_its_run_began_with(source, tmp_path, flags: list[str]) -> None:
    path = tmp_path / "ticket.safetensors"
    assert export([str(source.folder), "--round", "2", "-o", str(path), *flags]) == 0
    packed, state = Packed.load(path), torch.get_rng_state()
    assert (packed.first is None) == (not flags)
    for name, values in first_values(packed, path).items():
        begun = source.starts[0][name][source.ticket(2).mask[name]]
        assert values.tolist() == begun.tolist()
    assert torch.equal(torch.get_rng_state(), state)


def test_all_that_was_drawn_is_drawn_again(source, pack) -> None:
    drawn = draw_first_weights(Packed.load(pack(source, 1)).about)
    assert drawn.keys() == source.starts[0].keys()
    assert all(torch.equal(drawn[name], weights) for name, weights in source.starts[0].items())


def test_weights_that_are_drawn_otherwise_are_refused(source, pack) -> None:
    path = pack(source, 1)
    packed = Packed.load(path)
    packed.about["first"]["seed"] += 1
    with pytest.raises(SettingError, match=r"draws other weights of embedding\.weight .* --first-weights"):
        first_values(packed, path)


MODEL = {"name": "cnn", "filters": 2, "widths": [3], "initializer": "xavier", "kernel": "fast", "dropout": 0.5}
ABOUT = {"model": MODEL, "embedding_dim": 2, "words": 4, "splitter": "words", "class_names": ["a", "b"]}
NAMES = [*expected_shapes(ABOUT)]
FIRST = {"seed": 1, "words": 4, "embedding_std": 1.0, "witness": {name: [0.5, 1] for name in NAMES}}


def test_a_sound_recipe_is_taken_whatever_the_kernel_is() -> None:
    older = {key: value for key, value in MODEL.items() if key != "kernel"}
    for model in (MODEL, older, {**MODEL, "a later setting": 1}):
        about = {**ABOUT, "model": model, "first": FIRST}
        check_recipe(about, NAMES)
        assert list(draw_first_weights(about)) == NAMES


@pytest.mark.parametrize(("changes", "said"), [
    ({"seed": True}, "its seed is 'True'"), ({"seed": -1}, "its seed"), ({"seed": 2.0}, "its seed"),
    ({"words": 5}, "it is for '5' words, the ticket has 4"), ({"words": 4.0}, "it is for"),
    ({"embedding_std": -1.0}, "its embedding_std"), ({"embedding_std": float("inf")}, "its embedding_std"),
    ({"embedding_std": None}, "its embedding_std"), ({"witness": {}}, "values of each parameter"),
    ({"witness": {"fc.bias": [0.5]}}, "values of each parameter"),
    ({"witness": {name: [] for name in NAMES}}, "values of each parameter"),
    ({"witness": [0.5]}, "values of each parameter"),
    ({"witness": dict.fromkeys(NAMES, 0.5)}, "not finite numbers"),
    ({"witness": {name: [0.5, "a"] for name in NAMES}}, "not finite numbers"),
    ({"witness": {name: [[0.5]] for name in NAMES}}, "not finite numbers"),
    ({"witness": {name: [float("nan")] for name in NAMES}}, "not finite numbers"),
])  # fmt: skip
def test_a_recipe_that_cannot_be_followed_is_a_line(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_recipe({**ABOUT, "first": {**FIRST, **changes}}, NAMES)


@pytest.mark.parametrize("changes", [
    {"dropout": "much"}, {"dropout": None}, {"dropout": 1.5}, {"initializer": "mine"}, {"initializer": [1]},
    {"kernel": {}},
])  # fmt: skip
def test_a_recipe_of_settings_that_cannot_be_is_a_line(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"its model\.{next(iter(changes))}"):
        check_recipe({**ABOUT, "model": {**MODEL, **changes}, "first": FIRST}, NAMES)


def test_more_values_to_compare_with_than_live_are_no_match(source, pack) -> None:
    path = pack(source, 3)
    packed = Packed.load(path)
    witness = packed.about["first"]["witness"]
    name = min(witness, key=lambda name: len(packed.parameters[name].values))
    witness[name] += [witness[name][0]] * 9
    with pytest.raises(SettingError, match=f"draws other weights of {name}"):
        first_values(packed, path)


WORDS = st.lists(st.text("abc<>", max_size=3), unique=True, max_size=12)


@given(here=WORDS, there=WORDS, data=st.data())
def test_each_word_has_its_row_or_none(here: list[str], there: list[str], data: st.DataObject) -> None:
    ids = sorted(data.draw(st.sets(st.integers(2, 40), min_size=len(there), max_size=len(there))))
    rows = match_rows(["<unk>", "<pad>", *here], there, np.array(ids, np.int64))
    assert rows[:2].tolist() == [0, 1]
    for word, row in zip(here, rows[2:], strict=True):
        found = [number for number, other in zip(ids, there, strict=True) if other == word]
        assert ([] if row == NOWHERE else [row]) == found
    table = np.arange(1, 42 * 3 + 1).reshape(42, 3)
    taken = take_rows(table, rows)
    for row, values in zip(rows, taken, strict=True):
        assert values.tolist() == ([0, 0, 0] if row == NOWHERE else [3 * row + 1, 3 * row + 2, 3 * row + 3])


@given(alive=st.lists(st.booleans(), min_size=6, max_size=6))
def test_values_go_to_their_places(alive: list[bool]) -> None:
    places = np.array([place for place, lives in enumerate(alive) if lives], np.int64)
    dense = scatter(places + 1, places, (2, 3))
    assert dense.reshape(-1).tolist() == [place + 1 if lives else 0 for place, lives in enumerate(alive)]
    assert scatter(np.arange(6), None, (2, 3)).tolist() == [[0, 1, 2], [3, 4, 5]]
