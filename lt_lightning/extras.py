"""Check that the packages of an extra are installed, and name the extra that brings them.

`pip install lt-lightning` is enough to predict with a ticket; all else needs the extra `train`.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

from lt_lightning.errors import SettingError

TRAINING = {
    "torch": "torch",
    "pytorch_lightning": "pytorch-lightning",
    "torchmetrics": "torchmetrics",
    "hydra": "hydra-core",
    "omegaconf": "omegaconf",
    "datasets": "datasets",
    "pyarrow": "pyarrow",
    "numba": "numba",
    "matplotlib": "matplotlib",
    "pandas": "pandas",
    "scipy": "scipy",
    "jinja2": "Jinja2",
    "rich": "rich",
    "tokenizers": "tokenizers",
    "safetensors": "safetensors",
    "huggingface_hub": "huggingface-hub",
    "filelock": "filelock",
    "jaxtyping": "jaxtyping",
    "sympy": "sympy",
    "networkx": "networkx",
}
"""The modules that the extra `train` brings, the best known first, and their distributions, as in pyproject.toml."""


class NotInstalledError(SettingError, ImportError):
    """Packages are missing; the message names the first and the extra that brings them."""


def require_training(what: str, *modules: str) -> None:
    """Raise unless packages of the extra `train` are installed. Imports none of them.

    Args:
        what: what needs them, the first word of the message.
        modules: keys of `TRAINING`; all of them if none are given.

    Raises:
        NotInstalledError: one is missing.
    """
    missing = [TRAINING[module] for module in modules or TRAINING if not _is_installed(module)]
    if missing:
        more = f" and {len(missing) - 1} more packages, which are" if len(missing) > 1 else ", which is"
        raise NotInstalledError(f"{what} needs {missing[0]}{more} not installed: pip install 'lt-lightning[train]'")


def needs_package(package: str, extra: str) -> str:
    """Return the end of an error's line for a package that is not installed, and the extra that brings it.

    >>> needs_package("joblib", "joblib")
    "needs the package joblib; pip install 'lt-lightning[joblib]'"
    """
    return f"needs the package {package}; pip install 'lt-lightning[{extra}]'"


def _is_installed(module: str) -> bool:
    return sys.modules.get(module) is not None or find_spec(module) is not None
