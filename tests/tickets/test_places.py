"""Shapes of parameters follow from the settings; places come back as they were packed or are refused."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lt_lightning.models import BinaryCNN, MultiCNN, RecurrentClassifier
from lt_lightning.tickets.header import expected_shapes
from lt_lightning.tickets.places import pack, unpack


def leb128(number: int) -> bytes:
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + leb128(rest) if rest else bytes([low])


@given(st.sets(st.integers(0, 5000)), st.integers(0, 100))
@example(set(), 0)
@example({5000}, 0)
def test_places_come_back_from_the_shorter_form(chosen, more):
    places = np.array(sorted(chosen), np.int64)
    total = int(places.max(initial=-1)) + 1 + more
    form, packed = pack(places, total)
    assert packed.dtype == np.uint8
    np.testing.assert_array_equal(unpack(form, packed, total), places)
    gaps = b"".join(leb128(place - before - 1) for before, place in zip([-1, *places], places, strict=False))
    assert len(packed) == min(len(gaps), math.ceil(total / 8))
    assert form == "bits" or packed.tobytes() == gaps


@given(st.lists(st.integers(0, 2**61), min_size=1, max_size=3, unique=True))
def test_gaps_may_be_as_long_as_a_tensor_can_be(chosen):
    places = np.array(sorted(chosen), np.int64)
    form, packed = pack(places, 2**62)
    assert form == "gaps"
    np.testing.assert_array_equal(unpack(form, packed, 2**62), places)


def test_a_living_entry_in_a_hundred_takes_little_more_than_the_entropy_says() -> None:
    total, density = 5_000_000, 0.0115
    places = np.flatnonzero(np.random.default_rng(0).random(total) < density)
    entropy = -(density * math.log2(density) + (1 - density) * math.log2(1 - density)) * total / 8
    assert entropy < len(pack(places, total)[1]) < 1.3 * entropy


@pytest.mark.parametrize(("form", "packed", "total", "said"), [
    ("gaps", [128], 10, "cut off"), ("gaps", [1, 255], 10, "cut off"), ("gaps", [10], 10, "beyond"),
    ("gaps", [5, 4], 10, "beyond"), ("gaps", [0] * 11, 10, "more places"),
    ("gaps", [128] * 9 + [1], 10, "too long"), ("gaps", [255] * 8 + [127] + [255] * 8 + [127], 10, "beyond"),
    ("bits", [255], 7, "beyond"), ("bits", [1, 0], 8, "bytes are not"), ("bits", [], 8, "bytes are not"),
])  # fmt: skip
def test_bytes_that_pack_never_gives_are_refused(form, packed, total, said):
    with pytest.raises(ValueError, match=said):
        unpack(form, np.array(packed, np.uint8), total)


@given(st.binary(max_size=30), st.integers(0, 300), st.sampled_from(["gaps", "bits"]))
def test_any_bytes_are_places_or_are_refused(packed, total, form):
    try:
        places = unpack(form, np.frombuffer(packed, np.uint8), total)
    except ValueError:
        return
    assert (np.diff(places, prepend=-1) > 0).all()
    assert (places < total).all()


def about(model: dict[str, Any], classes: int) -> dict[str, Any]:
    return {"model": model, "words": 11, "embedding_dim": 7, "class_names": [str(n) for n in range(classes)]}


@pytest.mark.parametrize("classes", [2, 5])
def test_of_convolutional_networks(classes):
    settings: dict[str, Any] = {"filters": 6, "widths": [2, 5], "dim": 7}
    network = BinaryCNN(11, **settings) if classes == 2 else MultiCNN(11, classes, **settings)
    model = {"name": "cnn", "filters": 6, "widths": [2, 5]}
    shapes = {name: tuple(weight.shape) for name, weight in network.state_dict().items()}
    assert expected_shapes(about(model, classes)) == shapes


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("cell", ["rnn", "gru", "gru_chung", "lstm"])
def test_of_recurrent_networks(cell, bidirectional, classes):
    settings: dict[str, Any] = {"cell": cell, "hidden": 3, "layers": 2, "bidirectional": bidirectional}
    network = RecurrentClassifier(11, None if classes == 2 else classes, dim=7, backend="equations", **settings)
    shapes = {name: tuple(weight.shape) for name, weight in network.state_dict().items()}
    assert expected_shapes(about({"name": "birnn", **settings}, classes)) == shapes
