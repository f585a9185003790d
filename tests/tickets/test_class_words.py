"""The words that carry a class have the largest sums of the shares that a ticket gives them text by text."""

from collections import defaultdict
from itertools import chain

import numpy as np
import pytest
from packing import CNN, make_packed

from lt_lightning import Ticket
from lt_lightning.tickets import class_words
from lt_lightning.tickets.class_words import WordSums

TEXTS = ["w3 w4, W5 and w6 w7", "w2", "", "nothing known here", "w8 " * 20, "w3 w3 w4 w2", "w7 w2 w3 w5 w6 " * 4]


@pytest.mark.parametrize("piece", [1, 12, 4096])
@pytest.mark.parametrize(("classes", "density", "unknown"), [(2, 0.5, False), (3, 0.5, True), (3, 1.0, True)])
def test_sums_are_those_of_the_explanations(
    monkeypatch: pytest.MonkeyPatch, piece: int, classes: int, density: float, unknown: bool
) -> None:
    monkeypatch.setattr(class_words, "PIECE", piece)
    model = CNN if classes > 2 else CNN | {"name": "binary_cnn"}
    packed = make_packed(model, classes=classes, density=density, unknown=unknown, max_length=18)
    ticket, sums = Ticket(packed), WordSums(packed)
    for batch in (TEXTS[:2], TEXTS[2:]):
        sums.add(ticket.ids(batch))
    totals, texts = defaultdict(lambda: np.zeros(classes)), defaultdict(int)
    for found in ticket.explain(TEXTS):
        known = zip(found.words, found.known, strict=True)
        names = [word.lower() if is_known else "<unk>" for word, is_known in known]
        for place, name in enumerate(names):
            totals[name] += [found.of_class(number)[place] for number in range(classes)]
        for name in {*names}:
            texts[name] += 1
    for number in range(classes):
        got = sums.largest(number, 100)
        expected = {name: total[number] for name, total in totals.items() if total[number] > 1e-6}
        assert {one.word for one in got if one.total > 1e-6} == {*expected}
        np.testing.assert_allclose([one.total for one in got], sorted(expected.values(), reverse=True), atol=1e-4)
        assert [one.texts for one in got] == [texts[one.word] for one in got]
        assert sums.largest(number, 2) == got[:2]


def test_sums_of_nothing_are_no_words() -> None:
    sums = WordSums(make_packed(CNN))
    sums.add([])
    sums.add([np.zeros(0, np.int32)])
    assert [*chain.from_iterable(sums.largest(place, 5) for place in range(3))] == []
