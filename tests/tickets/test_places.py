"""Shapes of parameters follow from the settings; places come back as they were packed or are refused."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from packing import leb128

from lt_lightning.models import BinaryCNN, MultiCNN, RecurrentClassifier
from lt_lightning.tickets.header import expected_shapes
from lt_lightning.tickets.places import pack, unpack


def rice(gaps: list[int], width: int) -> bytes:
    """A Rice code, bit by bit."""
    remainders = "".join(f"{gap % 2**width:0{width}b}"[::-1] if width else "" for gap in gaps)
    quotients = "".join("0" * (gap >> width) + "1" for gap in gaps)
    parts = [
        bytes(int(bits[at : at + 8][::-1], 2) for at in range(0, len(bits), 8)) for bits in (remainders, quotients)
    ]
    return bytes([width]) + len(gaps).to_bytes(4, "little") + b"".join(parts)


def gaps_of(places: np.ndarray) -> list[int]:
    return [int(place - before - 1) for before, place in zip([-1, *places], places, strict=False)]


@given(st.sets(st.integers(0, 5000)), st.integers(0, 100))
@example(set(), 0)
@example({5000}, 0)
@example({*range(0, 5000, 90)}, 0)
def test_places_come_back_from_the_shorter_form(chosen, more):
    places = np.array(sorted(chosen), np.int64)
    total = int(places.max(initial=-1)) + 1 + more
    form, packed = pack(places, total)
    assert packed.dtype == np.uint8
    np.testing.assert_array_equal(unpack(form, packed, total), places)
    codes = [rice(gaps_of(places), width) for width in range(14)]
    shortest = min(map(len, codes))
    assert len(packed) <= min(shortest, math.ceil(total / 8)) + 1  # of two equally long codes in bits either is packed
    assert form == "bits" or packed.tobytes() in codes


@given(st.sets(st.integers(0, 5000)), st.integers(0, 13))
def test_rice_codes_of_any_width_are_read(chosen, width):
    places = np.array(sorted(chosen), np.int64)
    found = unpack("rice", np.frombuffer(rice(gaps_of(places), width), np.uint8), 5001)
    np.testing.assert_array_equal(found, places)


@given(st.sets(st.integers(0, 5000)))
def test_gaps_of_files_of_version_1_are_read(chosen):
    places = np.array(sorted(chosen), np.int64)
    packed = np.frombuffer(b"".join(map(leb128, gaps_of(places))), np.uint8)
    np.testing.assert_array_equal(unpack("gaps", packed, 5001), places)


@given(st.lists(st.integers(0, 2**40 - 1), min_size=1, max_size=3, unique=True))
def test_gaps_may_be_as_long_as_a_tensor_can_be(chosen):
    places = np.array(sorted(chosen), np.int64)
    form, packed = pack(places, 2**40)
    assert form == "rice"
    np.testing.assert_array_equal(unpack(form, packed, 2**40), places)


@pytest.mark.parametrize("density", [0.0115, 0.05, 0.2, 0.4])
def test_random_places_take_little_more_than_the_entropy_says(density):
    total = 2_000_000
    places = np.flatnonzero(np.random.default_rng(0).random(total) < density)
    entropy = -(density * math.log2(density) + (1 - density) * math.log2(1 - density)) * total / 8
    assert entropy < len(pack(places, total)[1]) < 1.04 * entropy


@pytest.mark.parametrize(("form", "packed", "total", "said"), [
    ("gaps", [128], 10, "cut off"), ("gaps", [1, 255], 10, "cut off"), ("gaps", [10], 10, "beyond"),
    ("gaps", [5, 4], 10, "beyond"), ("gaps", [0] * 11, 10, "more places"),
    ("gaps", [128] * 9 + [1], 10, "too long"), ("gaps", [255] * 8 + [127] + [255] * 8 + [127], 10, "beyond"),
    ("rice", [], 10, "cut off"), ("rice", [1, 1, 0, 0], 10, "cut off"), ("rice", [41, 0, 0, 0, 0], 10, "cut off"),
    ("rice", [3, 2, 0, 0, 0], 10, "cut off"), ("rice", [0, 11, 0, 0, 0, 255, 7], 10, "too many"),
    ("rice", [0, 2, 0, 0, 0, 7], 10, "not those of 2"), ("rice", [0, 2, 0, 0, 0, 3, 0], 10, "not those of 2"),
    ("rice", [1, 1, 0, 0, 0, 2, 1], 10, "not those of 1"), ("rice", [0, 1, 0, 0, 0, 0, 8], 10, "beyond"),
    ("rice", [40, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2], 10, "beyond"), ("rice", [4, 1, 0, 0, 0, 10, 1], 10, "beyond"),
    ("bits", [255], 7, "beyond"), ("bits", [1, 0], 8, "bytes are not"), ("bits", [], 8, "bytes are not"),
])  # fmt: skip
def test_bytes_that_pack_never_gives_are_refused(form, packed, total, said):
    with pytest.raises(ValueError, match=said):
        unpack(form, np.array(packed, np.uint8), total)


@given(st.binary(max_size=30), st.integers(0, 300), st.sampled_from(["rice", "gaps", "bits"]))
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
