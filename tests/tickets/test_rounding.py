"""Rounded weights are the nearest of few levels; lists of words come back; files of version 1 are read."""

import json
import zlib
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packing import CNN, make_packed, write_version_1

from lt_lightning.tickets import Ticket
from lt_lightning.tickets.file import Packed
from lt_lightning.tickets.rounding import Codes, round_values
from lt_lightning.tickets.word_lists import pack_words, unpack_words


def rounded(values: np.ndarray, bits: int, rows: "np.ndarray | None" = None) -> tuple[Codes, np.ndarray]:
    rows = np.zeros(len(values), np.int64) if rows is None else rows
    codes = round_values(values.astype(np.float32), rows, int(rows.max()) + 1, bits)
    assert codes is not None
    return codes, codes.values(rows)


def error(values: np.ndarray, found: np.ndarray) -> float:
    return float(((values - found) ** 2).mean())


@pytest.mark.parametrize("bits", [4, 8])
def test_weights_of_few_values_stay_as_they_are(bits: int) -> None:
    levels = np.random.default_rng(0).standard_normal(1 << bits).astype(np.float16).astype(np.float32)
    values = np.tile(levels, 20)
    _, found = rounded(values, bits)
    np.testing.assert_array_equal(found, values)


def test_a_codebook_is_nearly_the_best_of_all_partitions() -> None:
    # Few enough weights to try every way to cut them, in order, into 16 groups that are rounded to their means.
    values = np.sort(np.random.default_rng(0).standard_normal(120)).astype(np.float32)
    _, found = rounded(values, 4)
    best = np.full((17, 121), np.inf)
    best[0, 0] = 0
    for groups, end in product(range(1, 17), range(1, 121)):
        for start in range(end):
            part = values[start:end].astype(np.float64)
            best[groups, end] = min(best[groups, end], best[groups - 1, start] + ((part - part.mean()) ** 2).sum())
    assert error(values, found) < 1.2 * best[16, 120] / 120


@pytest.mark.parametrize("bits", [4, 8])
@given(st.integers(0, 99))
def test_every_weight_takes_the_nearest_level(bits: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.standard_t(3, 3000).astype(np.float32)
    codes, found = rounded(values, bits)
    assert codes.levels is not None
    levels = codes.levels.astype(np.float32)
    assert np.abs(values[:, None] - levels).min(axis=1) == pytest.approx(np.abs(values - found), abs=1e-6)


def test_rows_of_unlike_size_have_scales_of_their_own() -> None:
    rng = np.random.default_rng(0)
    rows = np.repeat(np.arange(20), 500)
    values = (rng.uniform(-1, 1, len(rows)) * 10.0 ** (rows / 5)).astype(np.float32)
    codes, found = rounded(values, 8, rows)
    assert codes.scales is not None
    assert len(codes.scales) == 20
    steps = np.array([np.abs(values[rows == row]).max() for row in range(20)]) / 127
    assert (np.abs(values - found) <= steps[rows] * 0.5001).all()


def test_a_tensor_of_few_weights_is_float16() -> None:
    assert round_values(np.arange(4, dtype=np.float32), np.arange(4), 4, 8) is None
    assert round_values(np.zeros(0, np.float32), np.zeros(0, np.int64), 4, 8) is None


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("model", [CNN, {**CNN, "filters": 41}])
def test_rounded_weights_are_written_and_read(bits: int, model: dict, tmp_path: Path) -> None:
    whole = make_packed(model, words=501, dim=13, density=0.3)
    packed = replace(whole, parameters={name: one.rounded(bits) for name, one in whole.parameters.items()})
    packed.save(tmp_path / "small.safetensors")
    whole.save(tmp_path / "whole.safetensors")
    found = Packed.load(tmp_path / "small.safetensors")
    assert found.parameters["embedding.weight"].codes is not None
    for name, parameter in packed.parameters.items():
        np.testing.assert_array_equal(found.parameters[name].dense(), parameter.dense())
        assert error(parameter.dense(), whole.parameters[name].dense()) < (0.1 if bits == 4 else 0.01) ** 2
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("small", "whole")]
    assert sizes[0] < sizes[1] - 1.5 * len(whole.parameters["embedding.weight"].values)


@given(st.lists(st.text(max_size=6), max_size=30, unique=True), st.booleans())
def test_lists_of_words_come_back(words: list[str], ordered: bool) -> None:
    words = sorted(words) if ordered else words
    words = [word for word in words if word.isprintable()]
    assert unpack_words("words", pack_words("words", words), "its words", 10_000) == words


def test_words_in_alphabetical_order_take_less_room() -> None:
    words = [f"{stem}{end}" for stem in ("pre", "un", "over", "inter") for end in map(str, range(1000))]
    shuffled = np.random.default_rng(0).permutation(words).tolist()
    sizes = [sum(array.nbytes for array in pack_words("words", one).values()) for one in (sorted(words), shuffled)]
    assert sizes[0] < 0.6 * sizes[1]


def test_a_long_list_in_a_small_file_is_refused() -> None:
    text = zlib.compress(json.dumps(["a" * 255, *[""] * 50_000]).encode())
    arrays = {"words": text, "words/prefixes": zlib.compress(bytes([0, *[255] * 50_000]))}
    with pytest.raises(ValueError, match="its words take more than 300,000 bytes"):
        unpack_words(
            "words", {name: np.frombuffer(one, np.uint8) for name, one in arrays.items()}, "its words", 300_000
        )


def test_a_file_of_version_1_gives_the_same_answers(tmp_path: Path) -> None:
    packed = make_packed(words=300, density=0.05)
    write_version_1(packed, tmp_path / "old.safetensors")
    texts = [" ".join(np.random.default_rng(seed).choice(packed.words, 20)) for seed in range(5)]
    np.testing.assert_array_equal(Ticket.load(tmp_path / "old.safetensors").logits(texts), Ticket(packed).logits(texts))
