"""Describe a run before its first round: the content of `run.json`, and the lines on the screen."""

from __future__ import annotations

import json
from collections.abc import Sequence
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
from lt_lightning.data.sources.encoders import EncoderFiles
from lt_lightning.data.tokenizer import SPECIAL_WORDS
from lt_lightning.experiment.resume.compare import without_resume
from lt_lightning.experiment.subject import Subject
from lt_lightning.experiment.trainer import make_trainer
from lt_lightning.models.tasks import DataModule
from lt_lightning.runs.description import FORMAT, Corpus, Description, EncoderRecord, Vocabulary, now
from lt_lightning.runs.metrics import Baseline
from lt_lightning.runs.notes import branch_line, debug_note, partial_note, pruning_line, rewind_line, transfer_line
from lt_lightning.runs.recorded import Origin, RecordedConfig
from lt_lightning.runs.tasks import CLASSIFICATION, OWN, TASKS
from lt_lightning.runtime.machine import describe_cpu

PACKAGES = (
    "lt-lightning", "torch", "pytorch-lightning", "torchmetrics", "datasets", "tokenizers", "safetensors",
    "hydra-core", "numpy", "numba", "llvmlite", "pyarrow", "sympy", "networkx", "pandas", "matplotlib",
)  # fmt: skip
"""The packages whose version can change a number; of an encoder also that of transformers."""


def describe(
    config: Config,
    subject: Subject,
    command: Sequence[str],
    run: Path,
    environment: ClusterEnvironment,
    origin: Origin | None,
) -> Description:
    """Return the description of a run that begins now; `origin` is the ticket that it starts from, if any."""
    trainer = make_trainer(config.trainer, [], run, environment)  # knows what `auto` stands for on this machine
    root = trainer.strategy.root_device
    device = torch.cuda.get_device_name(root) if root.type == "cuda" else f"{root} ({torch.get_num_threads()} threads)"
    task, network, data = subject.task, subject.network, subject.data
    settings = {key: value for key, value in values_of(config).items() if key not in ("resume", "trust")}
    settings = json.loads(json.dumps(settings))  # choices by their names
    baseline, corpus, encoder = task.baseline(data), data.corpus, _encoder(data)
    packages = PACKAGES if encoder is None else (*PACKAGES, "transformers")
    return Description(
        format=FORMAT,
        command=tuple(without_resume(command)),
        experiment=config.name,
        task=TASKS[task.name],
        config=RecordedConfig.from_json(settings),
        corpus=Corpus(
            corpus.name, corpus.source, data.rows, dict(corpus.fingerprints), tuple(task.class_names(data)),
            dict(corpus.dropped), corpus.reading,
        ),
        measured=measured_rows(config, data, trainer),
        vocabulary=Vocabulary(len(data.words), data.words_found, _digest(data.vectors)),
        baseline=baseline and Baseline(*baseline),
        network=getattr(network, "title", type(network).__name__),
        parameters=sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad),
        versions={package: _version(package) for package in packages},
        device=device,
        precision=str(trainer.precision),
        cpu=describe_cpu(),
        processes=trainer.world_size,
        seed=config.seed,
        started=now(),
        ticket=origin,
        encoder=encoder,
    )  # fmt: skip


def _encoder(data: DataModule) -> EncoderRecord | None:
    """Return the record of the pre-trained encoder that reads the data, if there is one."""
    files: EncoderFiles | None = getattr(data, "encoder", None)
    if files is None:
        return None
    digests = {name: digest for name, digest in files.digests.items() if digest is not None}
    return EncoderRecord(
        files.name, files.source, files.kind, getattr(data, "max_length", None), files.note or None, digests
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
    recorded = description.config.pruning
    rewind = "" if recorded.is_single and pruning.rewind == "init" else f", rewind {rewind_line(recorded)}"
    rounds = branch_line(description) or f"{pruning_line(recorded)}{rewind}"
    baseline, notes = description.shown_baseline, (partial_note(description), debug_note(description))
    lines = [
        f"{data.corpus.name}: {_size(config, data, description)}",
        *data.corpus.notes,
        f"{description.network}: {description.parameters:,} parameters; {rounds}, seed {config.seed}"
        f"{'' if config.seed_order is None else f', order {config.seed_order}'}",
        transfer_line(description.ticket),
        f"to be beaten: {baseline.name}, {baseline.value:.4f} {description.metric_for().name}" if baseline else "",
        *notes,
    ]
    return "\n".join(filter(None, lines))


def _size(config: Config, data: DataModule, description: Description) -> str:
    """Return the number of rows, classes and words, as far as they are known."""
    rows = ", ".join(f"{count:,} {part}" for part, count in data.rows.items())
    parts = [f"{rows} rows" if rows else data.corpus.source]
    if description.task in (CLASSIFICATION, OWN) and data.corpus.class_names:
        parts.append(f"{len(data.corpus.class_names)} classes")
    if data.words:
        splitter = getattr(config.data, "tokenizer", None)
        kind = "letters" if splitter is Splitter.letters else "pieces" if splitter is Splitter.model else "words"
        known = set(data.words) - set(SPECIAL_WORDS) if splitter is Splitter.letters else data.words
        found = ""
        if data.words_found is not None:
            found = f" ({data.words_found / len(data.words):.1%} with a {config.embedding.name} vector)"
        parts.append(f"{len(known):,} {kind}{found}")
    return ", ".join(parts)


def _digest(vectors: torch.Tensor | None) -> str | None:
    """Return a digest of pre-trained vectors, if there are any."""
    return None if vectors is None else sha256(vectors.numpy().tobytes()).hexdigest()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
