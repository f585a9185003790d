"""A sealed file reads back as it was written, and any change to it is noticed."""

import hashlib
import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from lt_lightning.errors import SettingError
from lt_lightning.storage.sealed import read_seal, read_sealed, write_sealed

TENSORS = {
    "fc.weight": torch.tensor([[1.5, -0.0], [float("nan"), 2.0]]),
    "mask/fc.weight": torch.tensor([[True, False], [True, True]]),
    "steps": torch.tensor(7),
    "none": torch.empty(0, 3),
}
CONTENT = {"format": "a test", "version": "2", "words": ["<unk>", "Zürich", "\ud800"], "loss": None}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "some.safetensors"
    write_sealed(path, TENSORS, CONTENT)
    return path


def same(one: Tensor, other: Tensor) -> bool:
    """Of the same type and shape, and the same bytes: NaN and the sign of zero count."""
    alike = one.dtype == other.dtype and one.shape == other.shape
    return alike and one.contiguous().numpy().tobytes() == other.contiguous().numpy().tobytes()


def sealed_by_hand(header: dict[str, Any] | str, body: bytes, content: dict[str, Any] | str = CONTENT) -> bytes:
    """A file with a seal that is right, whatever else it holds, made with what the format's description says alone."""
    blank = "0" * 64
    said = json.dumps({"sha256": blank, **content} if isinstance(content, dict) else content, separators=(",", ":"))
    if isinstance(header, dict):
        header = json.dumps({"__metadata__": {"lt_lightning": said}, **header}, separators=(",", ":"))
    data = struct.pack("<Q", len(header)) + header.encode() + body
    return data.replace(blank.encode(), hashlib.sha256(data).hexdigest().encode())


def test_tensors_and_content_come_back_as_they_were(path: Path) -> None:
    tensors, content = read_sealed(path, "a test", "2")
    assert content == CONTENT
    assert list(tensors) == list(TENSORS)
    assert all(same(tensors[name], tensor) for name, tensor in TENSORS.items())


def test_the_file_is_plain_safetensors_and_its_seal_the_digest_of_the_rest(path: Path) -> None:
    data = path.read_bytes()
    seal = read_seal(path)
    assert data.count(seal.encode()) == 1
    assert hashlib.sha256(data.replace(seal.encode(), b"0" * 64)).hexdigest() == seal
    assert int.from_bytes(data[:8], "little") % 8 == 0
    assert all(same(load_file(path)[name], tensor) for name, tensor in TENSORS.items())


def test_the_same_content_is_the_same_file_and_another_has_another_seal(path: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    assert write_sealed(again, dict(TENSORS), CONTENT) == read_seal(path)
    assert again.read_bytes() == path.read_bytes()
    assert write_sealed(again, TENSORS, {**CONTENT, "loss": 0}) != read_seal(path)
    assert write_sealed(again, {**TENSORS, "steps": torch.tensor(8)}, CONTENT) != read_seal(path)


def test_tensors_that_share_memory_or_are_strided_are_written(tmp_path: Path) -> None:
    weight = torch.arange(6.0).reshape(2, 3)
    tied = {"encoder": weight, "decoder": weight, "transposed": weight.T, "column": weight[:, 1], "grad": weight * 2}
    tied["grad"].requires_grad_()
    write_sealed(tmp_path / "tied", tied, CONTENT)
    tensors, _ = read_sealed(tmp_path / "tied", "a test", "2")
    assert all(torch.equal(tensors[name], tensor) for name, tensor in tied.items())


def test_tensors_come_back_in_the_order_in_which_they_were_given(tmp_path: Path) -> None:
    names = [f"{number * 7919 % 100}" for number in range(100)]
    write_sealed(tmp_path / "many", {name: torch.ones(2) for name in names}, CONTENT)
    assert list(read_sealed(tmp_path / "many", "a test", "2")[0]) == names


def test_every_single_bit_that_flips_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        with pytest.raises(SettingError):
            read_seal(path)


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_a_file_that_is_cut_off_or_longer_is_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    path = tmp_path_factory.mktemp("cut") / "some.safetensors"
    write_sealed(path, TENSORS, CONTENT)
    whole = path.read_bytes()
    path.write_bytes(data.draw(st.sampled_from([whole[: data.draw(st.integers(0, len(whole) - 1))], whole + b"\0"])))
    for read in (read_seal, lambda path: read_sealed(path, "a test", "2")):
        with pytest.raises(SettingError, match=r"cut off|damaged"):
            read(path)


def test_another_format_or_version_is_said_before_damage_is(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])
    for kind, version in (("a ticket", "2"), ("a test", "3")):
        with pytest.raises(SettingError, match=rf"'a test' of version '2', not '{kind}' of version '{version}'; "):
            read_sealed(path, kind, version)
    with pytest.raises(SettingError, match="cut off or changed since it was written: its checksum does not fit"):
        read_sealed(path, "a test", "2")


def test_a_safetensors_file_of_another_program_is_said_to_be_one(tmp_path: Path) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "other", {"format": "pt"})
    with pytest.raises(SettingError, match="other: not a lt-lightning ticket of this version of the project"):
        read_sealed(tmp_path / "other", "lt-lightning ticket", "2")


@pytest.mark.parametrize("data", [
    b"", b"\0" * 8, b"\xff" * 100, struct.pack("<Q", 100_000_001) + b"{",
    struct.pack("<Q", 20_000) + b"[" * 20_000, struct.pack("<Q", 5_000) + b"9" * 5_000,
    struct.pack("<Q", 2) + b"{}", struct.pack("<Q", 4) + b"null", sealed_by_hand({}, b"", "null"),
    sealed_by_hand({}, b"", "[" * 20_000), sealed_by_hand({}, b"", {"format": ["a test"], "version": {"2": 2}}),
    sealed_by_hand('{"__metadata__":{"lt_lightning":7}}', b""),
    sealed_by_hand('{"__metadata__":["lt_lightning"]}', b""), sealed_by_hand({"a": None}, b""),
    sealed_by_hand({"a": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}, b"\0"),
    sealed_by_hand({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, b"\0" * 4),
    sealed_by_hand({"a": {"dtype": "F32", "shape": [0, 2**62, 2**62], "data_offsets": [0, 0]}}, b""),
    sealed_by_hand({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}, b"\0" * 4),
    sealed_by_hand({"a": {"dtype": "U8", "shape": [1], "data_offsets": [5, 6]}}, b"\0" * 6),
    sealed_by_hand({"a": {"dtype": "BOOL", "shape": [2], "data_offsets": [0, 2]}}, b"\1\2"),
    sealed_by_hand({n: {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]} for n in "ab"}, b"\1\2"),
], ids=lambda data: f"{len(data)}:{data[8:40]!r}")  # fmt: skip
def test_what_is_no_sealed_file_or_a_forged_one_is_refused_in_one_line(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "odd"
    path.write_bytes(data)
    with pytest.raises(SettingError, match=r"odd: .*; ") as refused:
        read_sealed(path, "a test", "2")
    assert len(str(refused.value).splitlines()) == 1
    assert len(str(refused.value)) < 400


def test_a_file_made_by_hand_as_described_is_read(tmp_path: Path) -> None:
    path = tmp_path / "by_hand"
    path.write_bytes(sealed_by_hand({"a": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}}, b"\1\2"))
    tensors, content = read_sealed(path, "a test", "2")
    assert tensors["a"].tolist() == [1, 2]
    assert content == CONTENT


def test_no_file_a_folder_and_a_pipe_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, reason in (
        (tmp_path / "none", "none: no such file; "),
        (tmp_path, "not a file; "),
        (tmp_path / "pipe", "not a file; "),
        (Path("/dev/zero"), "not a file; "),
        (tmp_path / "x\0y", "not a file name"),
    ):
        with pytest.raises(SettingError, match=reason):
            read_seal(path)


def test_a_reader_that_only_checks_the_seal_does_not_wait_for_torch(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from lt_lightning.storage.sealed import read_seal;"
        "print(read_seal(Path(sys.argv[1]))); assert not {'torch', 'numpy', 'safetensors'} & set(sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True, text=True).stdout
    assert out.strip() == read_seal(path)
