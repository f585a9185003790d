"""Commands of runs that are older than a default, completed so that they mean the same today."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lt_lightning.errors import SettingError
from lt_lightning.runs.description import Description
from lt_lightning.runs.formatting import flat_settings, show_setting


def earlier_defaults(command: Sequence[str], configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the overrides that give a recorded command the defaults of its time.

    Before there was `data.test_fraction`, `data=files` came with `model=multi_cnn` and `embedding.std=1.0`.

    Args:
        command: the overrides that started a run or a sweep.
        configs: the configuration of the run, or of each job of the sweep that has begun.
    """
    settings = [flat_settings(config) for config in configs]
    given = {argument.lstrip("+").partition("=")[0] for argument in command}
    is_older = bool(settings) and not any("data.test_fraction" in one for one in settings)
    reads_files = "data=files" in command or any(one.get("data.name") == "files" for one in settings)
    if not (is_older and reads_files):
        return []
    missing = []
    if "model" not in given and all(one.get("model.name") == "multi_cnn" for one in settings):
        missing.append("model=multi_cnn")
    stds = [one.get("embedding.std") for one in settings]
    same = all(isinstance(std, (int, float)) and std == stds[0] for std in stds)  # a record may hold anything
    if "embedding.std" not in given and same:
        missing.append(f"embedding.std={show_setting(stds[0])}")
    return missing


def recorded_configs(runs: Iterable[Path], describe: Callable[[Path], tuple[Description, Any]]) -> list[Any]:
    """Return the recorded configurations of runs, as far as they can be read; `describe` reads a run's description."""
    configs = []
    for run in runs:
        try:
            config = describe(run)[0].config.values
        except SettingError:
            continue
        configs += [] if config is None else [config]
    return configs
