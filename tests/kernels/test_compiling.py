"""The cache of compiled loops: damaged or not to be written, it costs time and nothing else."""

import os
import pickle
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lt_lightning.kernels.compiling import code_folder

PROGRAM = """
import numpy as np
from lt_lightning.kernels.adam import gather
out = np.zeros(2)
gather(np.arange(5.0), np.array([4, 2]), out)
print(out.tolist())
"""


def run(cache: Path, umask: int = 0o022, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), **variables}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment, capture_output=True, text=True, timeout=120, check=False, umask=umask,
    )  # fmt: skip


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.slow
def test_a_damaged_cache_is_said_and_made_again(suffix: str, tmp_path: Path) -> None:
    assert run(tmp_path).stdout == "[4.0, 2.0]\n"
    kept = [path for path in tmp_path.rglob(f"*.{suffix}") if "gather-" in path.name]
    assert kept
    for path in kept:
        path.write_bytes(path.read_bytes()[:20])
    damaged, again = run(tmp_path), run(tmp_path)
    assert damaged.returncode == again.returncode == 0
    assert damaged.stdout == again.stdout == "[4.0, 2.0]\n"
    assert "the cache of compiled loops is damaged" in damaged.stderr
    assert not again.stderr


def test_nowhere_to_keep_it_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    done = run(tmp_path / "cache")
    assert (done.returncode, done.stdout) == (0, "[4.0, 2.0]\n")
    assert "set NUMBA_CACHE_DIR" in done.stderr


def test_loops_run_without_a_compiler(tmp_path: Path) -> None:
    done = run(tmp_path, NUMBA_DISABLE_JIT="1")
    assert (done.returncode, done.stdout) == (0, "[4.0, 2.0]\n")
    assert done.stderr.startswith("NUMBA_DISABLE_JIT is set: loops run uncompiled")


def test_machine_code_is_where_no_other_user_can_write(tmp_path: Path) -> None:
    run(tmp_path, umask=0)  # which lets others write whatever a program does not protect
    kept = [path for path in tmp_path.rglob("*") if "machine_code" in path.parts]
    assert any(path.suffix == ".nbc" for path in kept)
    assert [path for path in kept if stat.S_IMODE(path.stat().st_mode) & 0o022] == []


def test_a_place_beside_the_source_is_not_used(tmp_path: Path) -> None:
    done = run(tmp_path, NUMBA_CACHE_LOCATOR_CLASSES="InTreeCacheLocator")
    assert (done.returncode, done.stdout) == (0, "[4.0, 2.0]\n")
    assert not [*tmp_path.rglob("*.nbi")]


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o755])
def test_what_others_may_have_written_is_thrown_away(tmp_path, monkeypatch, caplog, mode):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    folder = tmp_path / "lt_lightning/machine_code"
    assert code_folder.__wrapped__() == folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (folder / "kernels").mkdir(mode=0o700)
    (folder / "kernels/gather.nbi").write_bytes(b"")
    (folder / "kernels/gather.nbi").chmod(0o600)
    folder.chmod(mode)
    assert code_folder.__wrapped__() == folder
    trusted = mode == 0o755
    assert [path.name for path in folder.iterdir()] == (["kernels"] if trusted else [])
    assert len(caplog.messages) == (not trusted)
    assert not stat.S_IMODE(folder.stat().st_mode) & 0o022


class Trap:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.slow
@pytest.mark.parametrize("open_to_others", ["file", "folder", "owner"])
def test_machine_code_that_others_could_have_written_is_not_read(open_to_others: str, tmp_path: Path) -> None:
    if open_to_others == "owner" and os.geteuid():
        pytest.skip("only root can give files away")
    run(tmp_path)
    [index] = [path for path in tmp_path.rglob("*.nbi") if "gather-" in path.name]
    index.write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    assert run(tmp_path).returncode == 0
    assert (tmp_path / "sprung").exists()  # the trap works where it is this user's own
    (tmp_path / "sprung").rmdir()

    index.parent.mkdir(exist_ok=True)
    index.write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    if open_to_others == "owner":
        os.chown(index, 1234, -1)
    else:
        (index if open_to_others == "file" else tmp_path / "lt_lightning/machine_code").chmod(0o777)
    for warnings in (1, 0):  # once, and then the cache is good again
        done = run(tmp_path)
        assert (done.returncode, done.stdout) == (0, "[4.0, 2.0]\n")
        assert done.stderr.count("the cache of compiled loops is not trusted") == warnings
        assert done.stderr.count("\n") == warnings
    assert not (tmp_path / "sprung").exists()
