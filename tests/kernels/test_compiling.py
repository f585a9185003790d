"""The cache of compiled loops: damaged or not to be written, it costs time and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import numpy as np
from lt_lightning.kernels.adam import gather
out = np.zeros(2)
gather(np.arange(5.0), np.array([4, 2]), out)
print(out.tolist())
"""


def run(cache: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=120, check=False
    )


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
