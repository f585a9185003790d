"""Read paths and delimiters as people type them into settings. Imports the standard library alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lt_lightning.config.hub_address import is_address

if TYPE_CHECKING:
    from lt_lightning.config.schema import Config

PATHS = {
    "data": ("path",), "embedding": ("path",), "pruning": ("ticket",), "branch": ("of",),
    "model": ("path",), "trainer": ("default_root_dir",),
}  # fmt: skip
"""The settings of each group that are paths."""


def typed_path(text: str) -> Path:
    """Return a path, with the home of a user in place of `~` or `~name`.

    As in a shell, `~name` of no user and a `~` elsewhere stay as they are: `./~data` is a folder called so.

    >>> typed_path("~no_such_user/x").as_posix(), typed_path("./~data").as_posix()
    ('~no_such_user/x', '~data')
    """
    return Path(os.path.expanduser(text))  # noqa: PTH111 (pathlib raises for an unknown user, and forgets the ./)


def typed_in(folder: Path, config: Config) -> Config:
    """Return settings whose relative paths are made absolute, relative to the folder where they were typed.

    Args:
        folder: the working directory as the program began; `hydra.job.chdir=true` leaves it.
        config: the settings.
    """

    def absolute(values: object, keys: tuple[str, ...]) -> Mapping[str, str]:
        paths = {key: getattr(values, key, None) for key in keys}
        return {key: str(folder / typed_path(path)) for key, path in paths.items() if path and not is_address(path)}

    changed = {group: absolute(getattr(config, group), keys) for group, keys in PATHS.items()}
    named = {group: changes for group, changes in changed.items() if changes}
    groups = {group: replace(getattr(config, group), **changes) for group, changes in named.items()}
    return replace(config, **groups, logger=config.logger.relative_to(folder))


def parse_delimiter(setting: str) -> str:
    r"""Return the character that a setting stands for; a tab may be written `tab` or `\t`.

    >>> parse_delimiter(";"), parse_delimiter("tab"), parse_delimiter("\\t")
    (';', '\t', '\t')
    """
    return {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";"}.get(setting, setting)
