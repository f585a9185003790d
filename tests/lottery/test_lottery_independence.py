"""`lottery` can be lifted out: it imports torch and the standard library alone, and torch no sooner than needed."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lt_lightning import lottery
from lt_lightning.extras import NotInstalledError, require_training

FOLDER = Path(lottery.__file__).parent
FILES = sorted(FOLDER.rglob("*.py"))


def imported(path: Path) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name their package in full"
            modules.add(node.module)
    return modules


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_file_imports_torch_the_standard_library_and_its_neighbours_alone(path):
    others = {
        module
        for module in imported(path)
        if module.split(".")[0] not in sys.stdlib_module_names | {"torch"}
        and not module.startswith("lt_lightning.lottery.")
    }
    assert not others


@pytest.mark.parametrize("imports", [
    "import lt_lightning.lottery",
    "import lt_lightning.lottery.settings",
    "from lt_lightning.lottery import CRITERIA, LotteryError, Rewind, Settings, derive_seed; Settings()",
])  # fmt: skip
def test_settings_are_checked_without_torch(imports):
    assert run(f"{imports}; import sys; print('torch' in sys.modules)") == "False"


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
try:
    from lt_lightning.lottery import Mask
except ImportError as error:
    print(error)
"""


def test_a_name_that_needs_torch_says_so_without_it(monkeypatch):
    said = run(WITHOUT_TORCH)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(NotInstalledError, match=re.escape(said)):  # the words of other parts
        require_training("lt_lightning.lottery.Mask", "torch")


@pytest.mark.slow
def test_a_round_is_played_where_only_torch_and_the_folder_are(tmp_path):
    """Under another roof, with every library but torch's own out of reach."""
    shutil.copytree(FOLDER, tmp_path / "lt_lightning" / "lottery")
    (tmp_path / "lt_lightning" / "__init__.py").touch()
    code = f"""
import sys, torch
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("pytorch_lightning", "lightning", "hydra", "omegaconf", "datasets", "safetensors"):
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
sys.path.insert(0, {str(tmp_path)!r})
from lt_lightning.lottery import *
import lt_lightning.lottery as package
module, lottery = torch.nn.Linear(5, 4), package.Lottery(package.Settings(rewind="random"))
for _ in range(3):
    lottery.begin_round(module)
    lottery.end_round(module)
print(package.__file__.startswith({str(tmp_path)!r}), lottery.mask.alive, "pytorch_lightning" in sys.modules)
"""
    # 20 weights: 20 → 16 → 13; 4 biases: 4 → 3 → 2
    assert run(code) == "True 15 False"


def test_every_public_name_is_there_and_an_unknown_one_is_not():
    assert all(getattr(lottery, name) is not None for name in lottery.__all__)
    with pytest.raises(AttributeError, match="prunes"):
        lottery.prunes  # noqa: B018
