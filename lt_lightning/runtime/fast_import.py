"""Import torch and Lightning in half the usual time, and libraries from where they are installed."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from lt_lightning.storage.site_packages import search_path

READ_LIBRARIES = frozenset({"sympy", "networkx", "pandas", "matplotlib"})
"""The keys of `data.sources.installed.LIBRARIES`, for programs that start without it."""


class _InstalledFirst(MetaPathFinder):
    """Finds the libraries that PyDocs reads where they are installed, before the working directory.

    A folder of texts about a library may have its name, and torch imports two of them.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the location of an installed library; None for all other modules."""
        if path is not None or fullname not in READ_LIBRARIES:
            return None

        return PathFinder.find_spec(fullname, search_path())


def prefer_installed() -> None:
    """Import sympy, networkx, pandas and matplotlib from where they are installed in this process."""
    if not any(isinstance(finder, _InstalledFirst) for finder in sys.meta_path):
        sys.meta_path.insert(0, _InstalledFirst())


def load_lightning() -> None:
    """Import Lightning and torch, before anything else does.

    torchmetrics imports all of `scipy.signal` to restore one old name (`hamming`); a stand-in that has the name saves
    that time and is removed afterwards. The garbage collector never scans what is imported.
    """
    if "pytorch_lightning" in sys.modules:
        return
    collecting = gc.isenabled()
    stand_ins = {} if "scipy" in sys.modules else _empty_scipy()
    gc.disable()
    sys.modules.update(stand_ins)
    try:
        import pytorch_lightning  # noqa: F401
    finally:
        for name in stand_ins:
            del sys.modules[name]
        gc.freeze()
        if collecting:
            gc.enable()


def _empty_scipy() -> dict[str, ModuleType]:
    """Return an empty SciPy with `signal.hamming` alone."""
    modules = {name: ModuleType(name) for name in ("scipy", "scipy.signal")}
    for name, module in modules.items():
        module.__spec__ = ModuleSpec(name, None, is_package=True)
        module.__path__ = []
    modules["scipy"].signal = modules["scipy.signal"]  # pyright: ignore[reportAttributeAccessIssue]
    modules["scipy.signal"].hamming = None  # pyright: ignore[reportAttributeAccessIssue]
    return modules
