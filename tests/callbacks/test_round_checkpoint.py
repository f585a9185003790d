"""A checkpoint is found by its round and its newest epoch, and only as it was written."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from lt_lightning.experiment.round_checkpoint import drop_checkpoints, find_checkpoint


def write(folder: Path, round: int, epoch: int, content: bytes) -> Path:
    path = folder / f"round_{round:02}_epoch_{epoch:03}_{sha256(content).hexdigest()}.ckpt"
    path.write_bytes(content)
    return path


def test_the_newest_epoch_of_the_round_is_found(tmp_path: Path) -> None:
    older, newer = write(tmp_path, 1, 9, b"nine"), write(tmp_path, 1, 10, b"ten")
    write(tmp_path, 0, 12, b"before")
    write(tmp_path, 2, 11, b"after")
    assert find_checkpoint(tmp_path, 1) == (newer, 10, [])
    assert find_checkpoint(tmp_path, 3) == (None, 0, [])
    newer.unlink()
    assert find_checkpoint(tmp_path, 1) == (older, 9, [])
    drop_checkpoints(tmp_path, keep=1)
    assert [*tmp_path.iterdir()] == [older]


def test_a_changed_checkpoint_is_named_and_the_one_before_is_found(tmp_path: Path) -> None:
    older, newer = write(tmp_path, 1, 1, b"one"), write(tmp_path, 1, 2, b"two")
    for content in (b"", b"tw", b"twp", b"two "):
        newer.write_bytes(content)
        found, epochs, (damage,) = find_checkpoint(tmp_path, 1)
        assert (found, epochs) == (older, 1)
        assert damage == f"{newer}: cut off or changed since it was written: its checksum does not fit its name"
