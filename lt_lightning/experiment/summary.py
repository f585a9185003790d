"""Describe a run before its first round: the content of `run.json`, and the lines on the screen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment

from lt_lightning.config.choice import values_of
from lt_lightning.config.enums import Splitter
from lt_lightning.config.schema import Config
from lt_lightning.data.batches import count_measured
from lt_lightning.data.tokenizer import SPECIAL_WORDS
from lt_lightning.experiment.resume.compare import without_resume
from lt_lightning.experiment.subject import Subject
from lt_lightning.experiment.trainer import make_trainer
from lt_lightning.models.tasks import DataModule
from lt_lightning.runs.description import FORMAT, Corpus, Description, Vocabulary, now
from lt_lightning.runs.metrics import Baseline
from lt_lightning.runs.notes import partial_note, transfer_line
from lt_lightning.runs.recorded import Origin, RecordedConfig
from lt_lightning.runs.tasks import CLASSIFICATION, OWN, TASKS
from lt_lightning.runtime.machine import describe_cpu

PACKAGES = (
    "lt-lightning", "torch", "pytorch-lightning", "torchmetrics", "datasets", "tokenizers", "safetensors",
    "hydra-core", "numpy", "numba", "llvmlite", "pyarrow", "sympy", "networkx", "pandas", "matplotlib",
)  # fmt: skip
"""The packages whose version can change a number."""


def describe(
    config: Config,
    subject: Subject,
    command: Sequence[str],
    run: Path,
    environment: ClusterEnvironment,
    origin: Origin | None,
) -> Description:
    """Return the description of a run that starts now."""
    trainer = make_trainer(config.trainer, [], run, environment)  # knows what `auto` stands for on this machine
    root = trainer.strategy.root_device
    device = torch.cuda.get_device_name(root) if root.type == "cuda" else f"{root} ({torch.get_num_threads()} threads)"
    task, network = subject.task, subject.network
    baseline = task.baseline(subject.data)
    return describe_run(
        config,
        subject.data,
        without_resume(command),
        task=task.name,
        network=getattr(network, "title", type(network).__name__),
        class_names=task.class_names(subject.data),
        baseline=baseline and Baseline(*baseline),
        parameters=sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad),
        device=device,
        processes=trainer.world_size,
        measured=measured_rows(config, subject.data, trainer),
        origin=origin,
    )


def measured_rows(config: Config, data: DataModule, trainer: pl.Trainer) -> dict[str, int]:
    """Return the number of rows of the validation and the test part that a Trainer measures, as far as it is known."""
    limits = {"valid": trainer.limit_val_batches, "test": trainer.limit_test_batches}
    batch_size = getattr(config.data, "batch_size", None)
    if batch_size is None:
        return {}
    return {
        part: count_measured(data.rows[part], batch_size, trainer.world_size, limit or 1.0)
        for part, limit in limits.items()
    }


def summarize(config: Config, data: DataModule, description: Description) -> str:
    """Return lines on the data, the network and the rounds to come."""
    pruning = config.pruning
    rounds = f"{pruning.rounds} round{'' if pruning.rounds == 1 else 's'} of pruning by {pruning.amount:g}"
    baseline, note = description.shown_baseline, partial_note(description)
    lines = [
        f"{data.corpus.name}: {_size(config, data, description)}",
        *data.corpus.notes,
        f"{description.network}: {description.parameters:,} parameters; {rounds}, rewind {pruning.rewind}, "
        f"seed {config.seed}",
        transfer_line(description.ticket),
        f"to be beaten: {baseline.name}, {baseline.value:.4f} {description.metric_for().name}" if baseline else "",
        note,
    ]
    return "\n".join(filter(None, lines))


def _size(config: Config, data: DataModule, description: Description) -> str:
    """Return the number of rows, classes and words, as far as they are known."""
    rows = ", ".join(f"{count:,} {part}" for part, count in data.rows.items())
    parts = [f"{rows} rows" if rows else data.corpus.source]
    if description.task in (CLASSIFICATION, OWN) and data.corpus.class_names:
        parts.append(f"{len(data.corpus.class_names)} classes")
    if data.words:
        letters = getattr(config.data, "tokenizer", None) is Splitter.letters
        known = set(data.words) - set(SPECIAL_WORDS) if letters else data.words
        found = ""
        if data.words_found is not None:
            found = f" ({data.words_found / len(data.words):.1%} with a {config.embedding.name} vector)"
        parts.append(f"{len(known):,} {'letters' if letters else 'words'}{found}")
    return ", ".join(parts)


def describe_run(
    config: Config,
    data: DataModule,
    command: Sequence[str],
    *,
    task: str,
    network: str,
    class_names: Sequence[str],
    baseline: Baseline | None,
    parameters: int,
    device: str,
    processes: int,
    measured: Mapping[str, int],
    origin: Origin | None,
) -> Description:
    """Return the description of a run that begins now.

    Args:
        config: the resolved configuration.
        data: the data.
        command: the overrides on the command line.
        task: the name of the network's task, one of `tasks.TASKS`.
        network: the network's name.
        class_names: the network's classes: classes of texts, or letters.
        baseline: the score of a simple model on the test part, if there is one.
        parameters: the number of trainable parameters.
        device: the device that the run computes on.
        processes: the number of processes that share the work.
        measured: the number of rows of the `valid` and the `test` part that the numbers are of; see `runs.notes`.
        origin: the ticket that the run starts from, if any.
    """
    corpus = data.corpus
    settings = {key: value for key, value in values_of(config).items() if key not in ("resume", "trust")}
    settings = json.loads(json.dumps(settings))  # choices by their names
    return Description(
        format=FORMAT,
        command=tuple(command),
        experiment=config.name,
        task=TASKS[task],
        config=RecordedConfig.from_json(settings),
        corpus=Corpus(
            corpus.name, corpus.source, data.rows, dict(corpus.fingerprints), tuple(class_names),
            dict(corpus.dropped), corpus.reading,
        ),
        measured=measured,
        vocabulary=Vocabulary(len(data.words), data.words_found, _digest(data.vectors)),
        baseline=baseline,
        network=network,
        parameters=parameters,
        versions={package: _version(package) for package in PACKAGES},
        device=device,
        cpu=describe_cpu(),
        processes=processes,
        seed=config.seed,
        started=now(),
        ticket=origin,
    )  # fmt: skip


def _digest(vectors: torch.Tensor | None) -> str | None:
    """Return a digest of pre-trained vectors, if there are any."""
    return None if vectors is None else sha256(vectors.numpy().tobytes()).hexdigest()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
