"""Find the configuration tree."""

from __future__ import annotations

from pathlib import Path


def config_folder() -> str:
    """Return the configuration tree: beside the package in a checkout, inside it where it was installed."""
    package = Path(__file__).parents[1]
    inside = package / "conf"
    return str(inside if inside.is_dir() else package.parent / "conf")
