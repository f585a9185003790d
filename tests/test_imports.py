"""Lightning imported quickly is Lightning all the same, and SciPy is there for everyone else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lt_lightning.data.sources.installed import LIBRARIES
from lt_lightning.runtime.fast_import import READ_LIBRARIES

PROGRAM = """
import gc, json, sys
{before}
from lt_lightning.runtime.fast_import import load_lightning
load_lightning()
import pytorch_lightning, torchmetrics
loaded = [name for name in sys.modules if name.split(".")[0] == "scipy"]
collects = gc.isenabled()
import scipy.signal
from torchmetrics.functional.audio import permutation_invariant_training  # it works with SciPy
from torchmetrics.functional import signal_noise_ratio
import torch
best, order = permutation_invariant_training(torch.rand(1, 3, 8), torch.rand(1, 3, 8), signal_noise_ratio)
print(json.dumps([len(loaded), collects, len(scipy.signal.windows.hamming(5)), sorted(order[0].tolist())]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("before", "expects_scipy"), [("", False), ("import scipy.signal", True)])
def test_scipy_is_passed_over_while_lightning_loads_and_found_afterwards(before: str, expects_scipy: bool) -> None:
    program = PROGRAM.format(before=before)
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    loaded, collects, taps, order = json.loads(ran.stdout)
    assert bool(loaded) == expects_scipy
    assert (collects, taps, order) == (True, 5, [0, 1, 2])


def test_loading_again_changes_nothing() -> None:
    import pytorch_lightning

    from lt_lightning.runtime.fast_import import load_lightning

    there = dict(sys.modules)
    load_lightning()
    assert dict(sys.modules) == there
    assert sys.modules["pytorch_lightning"] is pytorch_lightning


SHADOWED = """
import sys
from lt_lightning.runtime.fast_import import prefer_installed
prefer_installed(); prefer_installed()
import networkx, sympy, shadowed
print(networkx.Graph().order(), sympy.S(1), shadowed.ours, sum("_InstalledFirst" in repr(one) for one in sys.meta_path))
"""


def test_libraries_are_imported_from_where_they_are_installed_and_other_modules_as_ever(tmp_path: Path) -> None:
    for name in ("networkx", "sympy", "shadowed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("ours = True")
    ran = subprocess.run([sys.executable, "-c", SHADOWED], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.stdout == "0 1 True 1\n", ran.stderr
    assert LIBRARIES.keys() == READ_LIBRARIES
