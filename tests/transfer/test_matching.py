"""Rows of tables found word by word, held against a loop over all pairs of words."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lt_lightning.experiment.transfer.starting import NOWHERE, match_rows, scatter, take_rows

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
