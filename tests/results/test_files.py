"""Files are whole or not there."""

import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lt_lightning.storage.atomic import clear_temporaries, open_whole, remove_links, write_whole


def test_text_and_bytes_are_written_as_they_are(tmp_path: Path) -> None:
    write_whole(tmp_path / "text", "a\nb\r\né")
    write_whole(tmp_path / "bytes", b"\x00\xff")
    assert (tmp_path / "text").read_bytes() == b"a\nb\r\n\xc3\xa9"
    assert (tmp_path / "bytes").read_bytes() == b"\x00\xff"


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, step):
    path = tmp_path / "results.csv"
    write_whole(path, "old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os if step == "fsync" else Path, step, fail)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["results.csv"]


def test_the_new_file_appears_only_once_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results.csv"
    write_whole(path, "old")
    seen: list[tuple[str, str]] = []
    replace = Path.replace

    def watch(temporary: Path, target: Path) -> Path:
        assert temporary.parent == target.parent
        seen.append((target.read_text(), temporary.read_text()))
        return replace(temporary, target)

    monkeypatch.setattr(Path, "replace", watch)
    write_whole(path, "new")
    assert seen == [("old", "new")]
    assert path.read_text() == "new"


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_files_are_as_readable_as_any_other(tmp_path: Path) -> None:
    write_whole(tmp_path / "ours", "")
    (tmp_path / "plain").write_text("")
    ours, plain = (stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ours", "plain"))
    assert ours == plain


def temporaries(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.endswith(".tmp")]


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("theirs")
    # At the file's own name, and at every name that version 0.4 wrote to.
    for name in ("page.html", f".page.html.{os.getpid()}.tmp", ".page.html.1.tmp"):
        (tmp_path / name).symlink_to("theirs")
    write_whole(tmp_path / "page.html", "ours")
    assert (tmp_path / "theirs").read_text() == "theirs"
    assert (tmp_path / "page.html").read_text() == "ours"
    assert not (tmp_path / "page.html").is_symlink()


def test_a_name_that_exists_is_not_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [bytes([number]) * 8 for number in (1, 2, 3)]
    (tmp_path / f".lt_lightning_{names[0].hex()}.tmp").symlink_to("theirs")
    drawn = iter([*names[:2], *names])
    monkeypatch.setattr(os, "urandom", lambda _: next(drawn))
    with open_whole(tmp_path / "one") as one, open_whole(tmp_path / "two") as two:
        one.write(b"1")
        two.write(b"2")
    assert [(tmp_path / name).read_text() for name in ("one", "two")] == ["1", "2"]
    assert not (tmp_path / "theirs").exists()


def test_writers_with_the_same_process_id_do_not_disturb_each_other(tmp_path: Path) -> None:
    # As two containers on one volume, each with process 1: here two files that are open at once.
    path = tmp_path / "results.csv"
    with open_whole(path) as slow:
        slow.write(b"slow, ")
        write_whole(path, "quick")  # removes abandoned temporary files, and `slow` is none
        assert path.read_text() == "quick"
        slow.write(b"and complete")
    assert path.read_text() == "slow, and complete"
    assert [found.name for found in tmp_path.iterdir()] == ["results.csv"]


KILLED = """
import os, sys
from pathlib import Path
from lt_lightning.storage.atomic import open_whole
with open_whole(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    os._exit(9)
"""


@pytest.mark.parametrize("clear", [lambda folder: write_whole(folder / "other", ""), clear_temporaries])
def test_what_a_killed_writer_left_is_removed(tmp_path: Path, clear: Callable[[Path], None]) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "page.html")], check=False)
    assert [path.read_text() for path in temporaries(tmp_path)] == ["half"]
    clear(tmp_path)
    assert not temporaries(tmp_path)


def test_where_there_are_no_locks_age_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lt_lightning.storage.atomic.fcntl", None)
    old, young = (tmp_path / f".lt_lightning_{digit * 16}.tmp" for digit in "01")
    for path, age in ((old, 2 * 86_400), (young, 60)):
        path.write_text("half")
        os.utime(path, (time.time() - age,) * 2)
    write_whole(tmp_path / "page.html", "whole")
    assert temporaries(tmp_path) == [young]


def test_only_temporary_files_of_this_project_are_removed(tmp_path: Path) -> None:
    theirs = [tmp_path / name for name in (".x.tmp", "lt_lightning_0.tmp", ".lt_lightning_0.tmp", ".vimrc.swp")]
    for path in theirs:
        path.write_text("theirs")
    (tmp_path / f".lt_lightning_{'0' * 16}.tmp").symlink_to(".x.tmp")
    os.mkfifo(tmp_path / f".lt_lightning_{'1' * 16}.tmp")
    clear_temporaries(tmp_path)
    assert all(path.read_text() == "theirs" for path in theirs)


def test_links_and_pipes_are_removed_and_files_stay(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    remove_links(*(tmp_path / name for name in ("file", "folder", "link", "dangling", "pipe", "none", "file/below")))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "mine"
