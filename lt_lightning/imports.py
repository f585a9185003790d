"""torch and Lightning, imported in about half the time that `import` takes."""

from __future__ import annotations

import gc
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType


def load_lightning() -> None:
    """Import Lightning, and with it torch, before anything else does.

    torchmetrics, which Lightning imports, imports all of `scipy.signal` to give it back a name that it had once
    (`hamming`), and the time goes there. Here it meets a stand-in that has the name already; afterwards SciPy is
    there for whoever wants it. Nor does the garbage collector look through what is imported, then or ever: none of it
    is garbage.
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
    """SciPy with nothing in it but a part `signal`, and `signal.hamming`."""
    modules = {name: ModuleType(name) for name in ("scipy", "scipy.signal")}
    for name, module in modules.items():
        module.__spec__ = ModuleSpec(name, None, is_package=True)
        module.__path__ = []
    modules["scipy"].signal = modules["scipy.signal"]  # pyright: ignore[reportAttributeAccessIssue]
    modules["scipy.signal"].hamming = None  # pyright: ignore[reportAttributeAccessIssue]
    return modules
