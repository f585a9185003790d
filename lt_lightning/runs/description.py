"""Read `run.json` once into a typed `Description`, and write it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any

from lt_lightning.config.metric_names import parse_name
from lt_lightning.runs.branch import Branch, Plan, plan_of
from lt_lightning.runs.metrics import ACCURACY, BY_NAME, LETTERS_RIGHT, Baseline, Metric, logged_metric
from lt_lightning.runs.recorded import Origin, RecordedConfig, parse, plain
from lt_lightning.runs.records import Record
from lt_lightning.runs.tasks import CLASSIFICATION, OWN, TaskFacts, Wording, from_ticket, pruned_at_once
from lt_lightning.storage.atomic import write_whole

FORMAT = 2
"""The version of the format of `run.json`; from 2 on it is sealed."""

SEAL = "sha256"
"""The key of the digest in `run.json`."""


@dataclass(frozen=True)
class Corpus:
    """The data of a run.

    Attributes:
        name: the name of the corpus.
        source: where it was read from.
        rows: the number of rows of each part: `train`, `valid`, `test`.
        fingerprint: a digest of each part.
        class_names: the names of the network's classes: classes of texts, or letters.
        dropped: the number of rows of each part that were left out.
        reading: further values that say how the source was read.
    """

    name: str | None = None
    source: str | None = None
    rows: Mapping[str, int] | None = None
    fingerprint: Mapping[str, Any] | None = None
    class_names: tuple[str, ...] | None = None
    dropped: Mapping[str, int] | None = None
    reading: Mapping[str, Any] | None = None

    @classmethod
    def from_json(cls, content: Any) -> Corpus:
        """Return the corpus in the `corpus` entry of `run.json`."""
        names = {one.name for one in fields(cls)}
        given = content if isinstance(content, Mapping) else {}
        return replace(parse(cls, given), reading={key: value for key, value in given.items() if key not in names})

    def to_json(self) -> dict[str, Any]:
        """Return the `corpus` entry of `run.json`."""
        content = {one.name: plain(getattr(self, one.name)) for one in fields(self)}
        reading = content.pop("reading") or {}
        return {**content, **reading}


@dataclass(frozen=True)
class Vocabulary:
    """The number of words, how many of them have a pre-trained vector, and a digest of these vectors."""

    words: int | None = None
    embedding_found: int | None = None
    vectors: str | None = None


@dataclass(frozen=True)
class EncoderRecord:
    """The pre-trained encoder of a run.

    Attributes:
        name: its name.
        source: where it was read from.
        kind: the kind of network, such as `bert`.
        pieces: the number of pieces of each text that are kept at most.
        note: a remark on its weights.
        digests: the SHA-256 of each of its files.
    """

    name: str | None = None
    source: str | None = None
    kind: str | None = None
    pieces: int | None = None
    note: str | None = None
    digests: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Resumption:
    """The time at which a run was resumed, and what was not as before; None if that was not known."""

    at: str | None = None
    changes: Mapping[str, Any] | None = None

    @classmethod
    def from_json(cls, content: Any) -> Resumption:
        """Return one value of the `resumed` entry of `run.json`; older runs have the time alone."""
        return cls(at=content) if isinstance(content, str) else parse(cls, content)


@dataclass(frozen=True)
class Description:
    """The content of `run.json`. A value that is missing there, or of another type, is None here.

    Attributes:
        format: the version of the file's format.
        command: the overrides on the command line.
        experiment: the experiment's name.
        task: the task of the network; classification if the file names no known task, as older runs do.
        config: the resolved configuration.
        corpus: the data.
        measured: the number of rows of the `valid` and the `test` part that the numbers are of; see `runs.notes`.
        vocabulary: the words.
        baseline: the score of a simple model on the test part.
        network: the network's name.
        parameters: the number of trainable parameters.
        versions: the versions of the packages that can change a number.
        device: the device that the run computes on.
        precision: the precision that the run computes in, in Lightning's words, such as `32-true`.
        cpu: the processor, see `runtime.machine.describe_cpu`.
        processes: the number of processes that share the work.
        seed: the run's seed.
        started: the time at which the run began (ISO 8601).
        finished: the time at which it ended; None while it is going.
        ticket: the ticket that the run started from; None if it began with the whole network.
        branch: the trunk whose tickets the run retrains; None for any other run.
        encoder: the pre-trained encoder; None for a network without one.
        resumed: a value for each time that the run was resumed.
        stopped: why the run ended before its last round, if its search has stopped it.
        is_as_written: whether the file's seal fits its content; older files have none.
    """

    format: int | None = None
    command: tuple[str, ...] | None = None
    experiment: str | None = None
    task: TaskFacts = CLASSIFICATION
    config: RecordedConfig = field(default_factory=RecordedConfig)
    corpus: Corpus = Corpus()
    measured: Mapping[str, int] | None = None
    vocabulary: Vocabulary = Vocabulary()
    baseline: Baseline | None = None
    network: str | None = None
    parameters: int | None = None
    versions: Mapping[str, str | None] | None = None
    device: str | None = None
    precision: str | None = None
    cpu: Mapping[str, Any] | None = None
    processes: int | None = None
    seed: int | None = None
    started: str | None = None
    finished: str | None = None
    ticket: Origin | None = None
    branch: Branch | None = None
    encoder: EncoderRecord | None = None
    resumed: tuple[Resumption, ...] | None = None
    stopped: str | None = None
    is_as_written: bool = True

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Description:
        """Return the description in the content of a `run.json`; no content is refused.

        >>> Description.from_json({"task": "tagging", "corpus": {"name": 1}}).corpus.name is None
        True
        """
        return replace(parse(cls, content), is_as_written=is_as_written(content))

    def to_json(self) -> dict[str, Any]:
        """Return the content of `run.json`, without its seal."""
        content = {one.name: plain(getattr(self, one.name)) for one in fields(self)}
        del content["is_as_written"]
        for name in ("branch", "encoder", "resumed", "stopped"):
            if content[name] is None:
                del content[name]
        return content

    def metric_for(self, records: Sequence[Record] = ()) -> Metric:
        """Return what rounds are judged by: the setting `metric`, or else the task's metric.

        Args:
            records: the rounds so far. If the first lacks the metric's columns, as in runs of 0.4, the task's counts.

        >>> Description.from_json({"config": {"metric": "valid_f1"}}).metric_for().name
        'test macro F1'
        """
        wanted = self._wanted(records)
        return self.task.metric if wanted is None or not wanted.is_in(records) else wanted

    def metric_note(self, records: Sequence[Record]) -> str:
        """Return a sentence if winners are chosen by another number than the one that was asked for, or by none."""
        metric, wanted = self.metric_for(records), self._wanted(records)
        notes = [metric.note] if metric.note else []
        if wanted is not None and not wanted.is_in(records):
            notes.append(f"The run has no {wanted.name} on record, so {metric.name} is reported.")
        if math.isnan(metric.judge(records[0])):
            notes.append("Round 0 has no validation numbers, so no winning ticket can be chosen.")
        return " ".join(notes)

    @property
    def shown_baseline(self) -> Baseline | None:
        """The baseline, if it has the unit of the metric that the run is judged by."""
        return self.baseline if self._wanted(()) in (None, self.task.metric) else None

    def _wanted(self, records: Sequence[Record]) -> Metric | None:
        name = self.config.metric
        if name is None:
            return None
        logged = parse_name(name)
        if self.task is OWN or logged.quantity in (self.config.group("metrics") or {}):
            return logged_metric(name, self.config.metric_mode or logged.mode or "max", records)
        metric = BY_NAME.get(logged.quantity)
        return LETTERS_RIGHT if metric is ACCURACY and not self.task.sorts_texts else metric

    @property
    def plan(self) -> Plan:
        """The numbers of the run's rounds."""
        return plan_of(self.branch)

    @property
    def words(self) -> Wording:
        """The names of the run's things on pages and figures."""
        if self.ticket is not None:
            return from_ticket(self.task.words)
        return pruned_at_once(self.task.words) if self.config.pruning.is_single else self.task.words

    @property
    def model(self) -> str | None:
        """The network's name, or the name of its choice."""
        return self.network or self.config.model.name


def write_description(run: Path, description: Description) -> None:
    """Write `run.json`, whole or not at all, with a digest of its content as its last value."""
    write_content(run, description.to_json())


def write_content(run: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object as a run's `run.json`, like `write_description`."""
    content = _without_seal(content)
    sealed = {**content, SEAL: _seal(content)}
    write_whole(run / "run.json", json.dumps(sealed, indent=2, ensure_ascii=False) + "\n")


def is_as_written(description: Mapping[str, Any]) -> bool:
    """Return whether the content of a `run.json` is as it was written; True for an older one without a seal.

    The layout does not matter: an editor may indent the file in another way.
    """
    if SEAL not in description:
        return description.get("format") in (None, 1)
    return description[SEAL] == _seal(_without_seal(description))


def now() -> str:
    """Return the time, to the second, with its zone (ISO 8601)."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _without_seal(description: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in description.items() if key != SEAL}


def _seal(content: Mapping[str, Any]) -> str:
    return sha256(json.dumps(content).encode()).hexdigest()
