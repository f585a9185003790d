"""What another user owns, or may write, is not trusted."""

import os
import stat
from pathlib import Path

import pytest

from lt_lightning.kernels.owners import find_fault, make_private

pytestmark = pytest.mark.skipif(os.name != "posix", reason="owners and modes are POSIX's")


@pytest.mark.parametrize(
    ("mode", "fault"),
    [(0o600, None), (0o644, None), (0o755, None), (0o664, "may write"), (0o646, "may write"), (0o777, "may write")],
)
def test_a_file_that_others_may_write_is_a_fault(tmp_path: Path, mode: int, fault: str | None) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "file").chmod(mode)
    found = find_fault((tmp_path / "file").stat())
    assert (found is None) == (fault is None)
    assert fault is None or fault in str(found)


def test_another_user_s_file_is_a_fault_and_root_s_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    about = (tmp_path / "file").stat()
    values = list(about)
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    for owner, fault in ((0, None), (1234, None), (1235, "it belongs to another user, 1235")):
        values[stat.ST_UID] = owner
        assert find_fault(os.stat_result(values)) == fault


def test_a_private_folder_is_made_below_folders_that_are_missing(tmp_path: Path) -> None:
    assert make_private(tmp_path / "a/b")
    assert stat.S_IMODE((tmp_path / "a/b").stat().st_mode) & 0o077 == 0
    assert make_private(tmp_path / "a/b")


def test_a_folder_that_others_could_write_in_is_made_private_and_its_content_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o775)
    assert not make_private(tmp_path / "open")
    assert stat.S_IMODE((tmp_path / "open").stat().st_mode) == 0o755
    assert make_private(tmp_path / "open")


def test_another_user_s_folder_and_a_file_in_its_place_are_refused(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        make_private(tmp_path / "file")
    if os.geteuid() == 0:
        os.chown(tmp_path, 1234, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 1 + tmp_path.stat().st_uid)
    with pytest.raises(PermissionError, match="it belongs to another user"):
        make_private(tmp_path)
