"""What ran: the content of `run.json`, without which a table of numbers cannot be trusted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lt_lightning.config.choice import values_of
from lt_lightning.runs.machine import describe_cpu
from lt_lightning.storage.atomic import write_whole

if TYPE_CHECKING:
    from torch import Tensor

    from lt_lightning.config.schema import Config
    from lt_lightning.data.module import TextDataModule
    from lt_lightning.data.pair_module import PairDataModule

FORMAT = 2
"""The version of the form of `run.json`; from 2 on it is sealed."""

SEAL = "sha256"
"""The key of the digest in `run.json`."""

PACKAGES = (
    "lt-lightning", "torch", "pytorch-lightning", "torchmetrics", "datasets", "tokenizers", "safetensors",
    "hydra-core", "numpy", "numba", "llvmlite", "pyarrow", "sympy", "networkx", "pandas", "matplotlib",
)  # fmt: skip
"""The packages whose version can change a number."""


def describe_run(
    config: Config,
    data: TextDataModule | PairDataModule,
    command: Sequence[str],
    *,
    task: str,
    network: str,
    class_names: Sequence[str],
    baseline: Mapping[str, Any] | None,
    parameters: int,
    device: str,
    processes: int,
    measured: Mapping[str, int],
) -> dict[str, Any]:
    """Everything that a reader of the numbers needs to know, as plain values for `run.json`.

    Args:
        config: the resolved configuration.
        data: what was read.
        command: the overrides on the command line.
        task: what the network learns; one of `metrics.TASKS`.
        network: what people call the network.
        class_names: what the network tells apart: classes of texts, or letters.
        baseline: the `name` of a simple model and the `value` that it reaches on the test part, in the unit of the
            task's metric; None where there is none.
        parameters: the number of trainable parameters.
        device: what the run computes on.
        processes: how many processes share the work.
        measured: of how many rows of the `valid` and the `test` part the numbers are; see `results.partial`.
    """
    corpus = data.corpus
    return {
        "format": FORMAT,
        "command": list(command),
        "experiment": config.name,
        "task": task,
        "config": {key: value for key, value in values_of(config).items() if key not in ("resume", "trust")},
        "corpus": {
            "name": corpus.name,
            "source": corpus.source,
            "rows": data.rows,
            "fingerprint": dict(corpus.fingerprints),
            "class_names": list(class_names),
            "dropped": dict(corpus.dropped),
            **corpus.reading,
        },
        "measured": dict(measured),
        "vocabulary": {"words": len(data.words), "embedding_found": data.words_found, "vectors": _digest(data.vectors)},
        "baseline": baseline,
        "network": network,
        "parameters": parameters,
        "versions": {package: _version(package) for package in PACKAGES},
        "device": device,
        "cpu": describe_cpu(),
        "processes": processes,
        "seed": config.seed,
        "started": now(),
        "finished": None,
    }


def write_description(run: Path, description: Mapping[str, Any]) -> None:
    """Write `run.json`, whole or not at all, with a digest of its content as its last value."""
    content = _without_seal(description)
    sealed = {**content, SEAL: _seal(content)}
    write_whole(run / "run.json", json.dumps(sealed, indent=2, ensure_ascii=False) + "\n")


def is_as_written(description: Mapping[str, Any]) -> bool:
    """Return whether a description is the one that `write_description` wrote; also of an older one without a seal.

    How the file is laid out does not matter: an editor may indent it in another way.
    """
    if SEAL not in description:
        return description.get("format") in (None, 1)
    return description[SEAL] == _seal(_without_seal(description))


def now() -> str:
    """The time, to the second, with its zone (ISO 8601)."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _without_seal(description: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in description.items() if key != SEAL}


def _seal(content: Mapping[str, Any]) -> str:
    return sha256(json.dumps(content).encode()).hexdigest()


def _digest(vectors: Tensor | None) -> str | None:
    """What tells pre-trained vectors from others."""
    return None if vectors is None else sha256(vectors.numpy().tobytes()).hexdigest()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
