"""Resolve `${hydra:…}` outside of a job: Hydra itself knows `hydra.runtime.output_dir` only within one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf, open_dict, read_write

from lt_lightning.config.quoting import escape

OUTPUT_DIR = "${hydra:runtime.output_dir}"
"""The interpolation that gives a run's directory."""


@contextmanager
def within_job(config: Any) -> Iterator[None]:
    """Let `${hydra:…}` resolve to settings of Hydra in `config` while the block runs, as it does within a job."""
    from hydra.core.hydra_config import HydraConfig

    current = HydraConfig.instance()
    before, current.cfg = current.cfg, config
    try:
        yield
    finally:
        current.cfg = before


def set_output_dir(config: Any, folder: Path) -> None:
    """Set the run directory that `${hydra:runtime.output_dir}` gives."""
    with read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
        config.hydra.runtime.output_dir = str(folder.absolute())


def filled_in(overrides: Any) -> tuple[str, ...]:
    r"""Return the overrides of a job, for a command that repeats it, without their interpolations.

    `${hydra:runtime.output_dir}` stays, since the directory may move. A `${` that is left otherwise was escaped before,
    and is escaped again.

    >>> print(*filled_in(OmegaConf.create(["seed=1", "data.path=a\\${b}"])))
    seed=1 data.path=a\${b}
    """
    typed: Any = OmegaConf.to_container(overrides, resolve=False)
    return tuple(one if OUTPUT_DIR in one else escape(value) for one, value in zip(typed, overrides, strict=True))
