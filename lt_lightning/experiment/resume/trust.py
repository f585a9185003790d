"""Find the recorded settings of a run that could run code: a run directory may come from elsewhere.

A record may choose among this package's own choices. Objects (`_target_`), criteria and scopes by dotted path, settings
of Hydra, files outside of the configuration tree and computed values count only if today's command line gives them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from lt_lightning.config.quoting import _texts, find_targets

_HARMLESS = frozenset(
    {
        "hydra.sweep.subdir",
        *(f"hydra.sweeper.{key}" for key in ("n_trials", "n_jobs", "seed", "pruner", "direction", "study_name")),
    }
)
"""Settings of Hydra that name folders within the sweep's own, as `folders` refuses others, or choose how to search."""

_LIMITS = frozenset(
    {
        "n_jobs", "threads", "batch_size", "verbose", "timeout", "timeout_min", "max_num_timeout", "max_retries",
        "signal_delay_s", "array_parallelism", "nodes", "tasks_per_node", "cpus_per_task", "cpus_per_gpu",
        "gpus_per_node", "gpus_per_task", "mem_gb", "mem_per_cpu", "mem_per_gpu", "num_cpus", "num_gpus", "partition",
        "qos", "account", "constraint", "gres", "nodelist", "exclude", "exclusive",
    }
)  # fmt: skip
"""Last names of launcher settings that are a number or the name of a resource, such as `hydra.launcher.timeout_min`.

Others stay untrusted: `setup` is lines of shell, `additional_parameters` any option of sbatch, `pre_dispatch` is
evaluated by joblib, an address or a runtime environment of Ray leads to code elsewhere.
"""

_PLAIN_LIMIT = re.compile(r"[\w.:,+@%/-]*", re.ASCII)
"""A limit without blanks or line breaks: it ends up in a batch script."""

NO_SWEEP = "hydra.sweeper.params=null"
"""The override by which a branch leaves out the sweep that its trunk's experiment defines."""

_INSTALLED = frozenset({"hydra/launcher", "hydra/sweeper"})
"""Groups of Hydra whose choices are installed plugins: the record names one and brings none."""

_PLAIN = re.compile(r"\$\{(?:[\w.\[\]]+|oc\.env:\w+|now:[-\w%: .]+|hydra:runtime\.output_dir)\}")
"""Interpolations that give the value of another setting, a variable of the environment, the time, or the directory."""


def find_untrusted(recorded: Sequence[str]) -> list[str]:
    """Return the overrides of a record that count only if the user gives them.

    >>> find_untrusted(["seed=1", "trainer.callbacks=[{_target_: evil.C}]", "hydra.job_logging.x=1", "model=../../x"])
    ['trainer.callbacks=[{_target_: evil.C}]', 'hydra.job_logging.x=1', 'model=../../x']
    """
    return [argument for argument in recorded if not _is_plain(argument)]


@lru_cache(maxsize=1)
def own_targets() -> frozenset[str]:
    """Return the targets that the files of this package's configuration tree name."""
    from lt_lightning.config.folder import config_folder

    text = "\n".join(path.read_text(encoding="utf-8") for path in Path(config_folder()).rglob("*.yaml"))
    return frozenset(re.findall(r"^[^#\n]*\b_target_:\s*([\w.]+)", text, re.M))


def _is_plain(argument: str) -> bool:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    from lt_lightning.config.validation import setting_names

    if argument == NO_SWEEP:
        return True
    if argument.startswith("-"):  # a flag, such as --config-dir
        return False
    try:
        override = OverridesParser.create().parse_override(argument)
        value, key = override.value(), override.key_or_group
    except (HydraException, ValueError, RecursionError):
        return False
    if _is_of_hydra(key, override.package or "", value) or _is_computed(argument):
        return False
    chooses_function = re.search(r"\b(criterion|scope)\b", argument)
    if chooses_function and re.search(r"[.]|\$\{", " ".join(_texts(value))):  # a function's dotted path
        return False
    is_target = key.rpartition(".")[2] == "_target_"
    targets = [*find_targets(value), *([str(value)] if is_target else [])]
    if len(targets) != argument.count("_target_") or not own_targets().issuperset(targets):
        return False
    is_group = "." not in key and key not in setting_names()
    return not is_group or not any(_leads_elsewhere(text) for text in _texts(value))


def _is_of_hydra(key: str, package: str, value: Any) -> bool:
    """Return whether an override changes Hydra itself."""
    if key == "hydra.sweeper.sampler":  # of cmaes, Optuna keeps the state in the study, as a pickle
        return value not in ("tpe", "random", "grid", "gp")
    if key in _INSTALLED and not package:
        return not isinstance(value, str) or re.fullmatch(r"\w+", value) is None
    if key.startswith("hydra.launcher.") and key.rpartition(".")[2] in _LIMITS and not package:
        return not (value is None or isinstance(value, int | float)) and _PLAIN_LIMIT.fullmatch(str(value)) is None
    words = re.split(r"[./@:]", f"{key}@{package}")
    return "hydra" in words and key not in _HARMLESS


def _is_computed(argument: str) -> bool:
    """Return whether a value is computed, such as by `oc.decode`, which makes objects of text."""
    before, text = "", argument.replace("\\${", "")  # an escaped one is text
    while text != before:
        before, text = text, _PLAIN.sub("", text)
    return "${" in text


def _leads_elsewhere(choice: str) -> bool:
    """Return whether a choice of a group may be a file outside of the configuration tree."""
    return "${" in choice or ".." in Path(choice).parts or Path(choice).is_absolute() or "://" in choice
