"""Arrays come back from the cache as they were kept, or the file is named, thrown away and made again."""

import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pytest
from safetensors.numpy import load_file

from lt_lightning.config.enums import Splitter
from lt_lightning.data.encoding import number_words, read_words
from lt_lightning.storage import cache as kept
from lt_lightning.storage.cache import Arrays, DamagedError, UntrustedError, keep, recall, recall_or_make

ARRAYS = {
    "letters": np.frombuffer(b"abcde", np.uint8), "ids": np.array([3, 1, 2, 1], np.int32),
    "places": np.array([[0, 2**40], [-1, 5]], np.int64), "vectors": np.array([0.5, np.nan], np.float32),
    "none": np.zeros(0, np.int64),
}  # fmt: skip
BRACKETS = (30_000).to_bytes(8, "little") + b"[" * 30_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    keep(tmp_path / "kept.safetensors", ARRAYS)
    return tmp_path / "kept.safetensors"


def same(one: Arrays, other: Arrays) -> bool:
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and np.array_equal(one[name], other[name], equal_nan=True) for name in one
    )


def test_arrays_come_back_and_other_programs_read_them(path: Path) -> None:
    assert same(recall(path), ARRAYS)
    assert same(load_file(path), ARRAYS)


@pytest.mark.parametrize("piece", [1, 3, 8, 1000])
def test_arrays_of_many_pieces_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(kept, "_PIECE", piece)
    keep(tmp_path / "kept", ARRAYS)
    assert same(recall(tmp_path / "kept"), ARRAYS)
    flipped = bytearray((tmp_path / "kept").read_bytes())
    flipped[-1] ^= 1
    (tmp_path / "kept").write_bytes(flipped)
    with pytest.raises(DamagedError):
        recall(tmp_path / "kept")


def test_a_change_of_any_byte_is_damage(path: Path) -> None:
    whole = path.read_bytes()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        with pytest.raises(DamagedError):
            recall(path)
    path.write_bytes(whole)
    assert same(recall(path), ARRAYS)


def test_two_values_in_each_other_s_place_are_damage(path: Path) -> None:
    # A sum of the values, as version 0.4 had it, is the same.
    whole = path.read_bytes()
    ids = ARRAYS["ids"].tobytes()
    assert whole.count(ids) == 1
    path.write_bytes(whole.replace(ids, ARRAYS["ids"][[1, 0, 2, 3]].tobytes()))
    with pytest.raises(DamagedError, match="its checksum does not match"):
        recall(path)


@pytest.mark.parametrize(
    "change",
    [lambda whole: whole[:-1], lambda whole: whole + b"\0"]
    + [lambda _, content=content: content for content in (b"", b"x", b"\xff" * 100, BRACKETS)],
)
def test_a_file_of_another_size_is_damage(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DamagedError):
        recall(path)


def test_a_file_in_another_one_s_place_is_damage(path: Path) -> None:
    path.rename(path.with_name("other.safetensors"))
    with pytest.raises(DamagedError):
        recall(path.with_name("other.safetensors"))


def test_sizes_that_no_file_has_reserve_no_memory(tmp_path: Path) -> None:
    header = b'{"__metadata__":{"file":"kept","digest":""},"ids":{"dtype":"I64","shape":[%d],"data_offsets":[0,%d]}}'
    for size in (2**47, 2**70, -1):
        text = header % (size, size * 8)
        (tmp_path / "kept").write_bytes(len(text).to_bytes(8, "little") + text)
        (tmp_path / "kept").chmod(0o600)
        with pytest.raises(DamagedError):
            recall(tmp_path / "kept")


@pytest.mark.skipif(os.name != "posix", reason="owners and modes are POSIX's")
def test_what_others_own_or_may_write_is_not_read(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    for mode in (0o620, 0o602, 0o666):
        path.chmod(mode)
        with pytest.raises(UntrustedError, match="other users may write it"):
            recall(path)
    path.chmod(0o644)
    recall(path)
    if os.geteuid() == 0:
        os.chown(path, 1234, -1)
        with pytest.raises(UntrustedError, match="it belongs to another user, 1234"):
            recall(path)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _wrong(path: Path) -> None:
    keep(path, {**ARRAYS, "ids": ARRAYS["ids"] + 100})


@pytest.mark.parametrize(("harm", "said"), [
    (lambda path: path.chmod(0o666), "is not trusted ({path}: other users may write it)"),
    (lambda path: path.write_bytes(path.read_bytes()[:-1]), "is damaged ({path}: it is cut off)"),
    (_pipe, "is damaged ({path}: it is a pipe or a device, not a file)"),
    (_wrong, "is damaged ({path}: it has values outside 0 … 3)"),
    (lambda path: keep(path, {"letters": ARRAYS["letters"]}), "is damaged ({path}: it has no 'ids')"),
])  # fmt: skip
def test_what_is_wrong_is_said_once_and_made_again(path, caplog, harm, said):
    made: list[Arrays] = []

    def make() -> Arrays:
        made.append(ARRAYS)
        return ARRAYS

    harm(path)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            found = recall_or_make(path, make, "numbers", lambda arrays: kept.check_range(arrays["ids"], 0, 4))
            assert same(found, ARRAYS)
    assert len(made) == 1
    assert caplog.messages == [f"the cache of numbers {said.format(path=path)}; rebuilding it"]


TEXTS = ["one two three", "two", "", "three, four"]


@pytest.mark.parametrize(("name", "values"), [
    ("ids", np.array([0, 1, 2, 3, 4, 5, 99], np.int32)), ("ids", np.array([0, 1, 2, 3, 4, 5, -1], np.int32)),
    ("ids", np.array([0, 1, 2, 3], np.int32)), ("ids", np.array([0, 1, 2, 3, 4, 1, 1], np.int64)),
    ("offsets", np.array([0, 3, 4, 2**62, 7], np.int64)), ("offsets", np.array([0, 4, 3, 4, 7], np.int64)),
    ("offsets", np.array([-1, 3, 4, 4, 7], np.int64)), ("offsets", np.array([0, 7], np.int64)),
    ("word_places", np.array([0, 2**61], np.int64)), ("word_places", np.array([], np.int64)),
    ("word_letters", np.frombuffer(b"\xff" * 16, np.uint8)),
])  # fmt: skip
def test_word_ids_out_of_range_are_cut_anew(tmp_path, caplog, name, values):
    texts = datasets.Dataset.from_dict({"text": TEXTS})
    whole = read_words(texts, Splitter.words, tmp_path)
    [file] = tmp_path.iterdir()
    sound = {key: np.array(array) for key, array in recall(file).items()}
    assert [len(sound[key]) for key in ("ids", "offsets", "word_letters")] == [7, 5, 16]
    keep(file, {**sound, name: values})
    with caplog.at_level(logging.WARNING):
        again = [read_words(texts, Splitter.words, tmp_path) for _ in range(2)]
    assert len(caplog.messages) == 1
    expected = number_words([TEXTS], Splitter.words)
    for found in (whole, *again):
        assert found.words.equals(expected.words)
        assert np.array_equal(found.ids, expected.ids)
        assert np.array_equal(found.offsets, expected.offsets)
