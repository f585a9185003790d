"""Check the command line and the run before anything is trained. Imports no torch, so that refusals come at once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lt_lightning.config.quoting import quote
from lt_lightning.config.schema import Config
from lt_lightning.config.validation import lottery_settings, read_config
from lt_lightning.errors import SettingError
from lt_lightning.experiment.hydra_main import compose_config, hide_progress_bars_in_pipes
from lt_lightning.experiment.interpolations import set_output_dir, within_job
from lt_lightning.experiment.precision import as_recorded
from lt_lightning.experiment.resume.command import resumed_arguments
from lt_lightning.experiment.resume.compare import check_same
from lt_lightning.experiment.start_run import find_launch, load
from lt_lightning.lottery.settings import Rewind
from lt_lightning.runs.reading import Run, read_run
from lt_lightning.runs.rounds import PlayedRound, find_standing
from lt_lightning.runs.winners import explain_missing, kept_rounds

if TYPE_CHECKING:
    from lt_lightning.data.corpus import Corpus
    from lt_lightning.data.own_corpus import OwnCorpus
    from lt_lightning.data.sources.pairs import PairCorpus

FOLDER = "connectivity"
"""The folder of all results within a run directory."""


@dataclass(frozen=True)
class Request:
    """A request to measure rounds.

    Attributes:
        run: the run.
        config: its settings.
        corpus: its data.
        played: its rounds that are over and sound, by number.
        rounds: the numbers of the rounds to measure, in order.
        points: the number of points on each line, both ends included.
        orders: the seed of the data order of each copy.
    """

    run: Run
    config: Config
    corpus: Corpus | PairCorpus | OwnCorpus
    played: dict[int, PlayedRound]
    rounds: tuple[int, ...]
    points: int
    orders: tuple[int, ...]

    @property
    def folder(self) -> Path:
        """Return the folder of the results."""
        return self.run.folder / FOLDER


def read_request(
    folder: Path, settings: Sequence[str], rounds: Sequence[int] | None, points: int, orders: Sequence[int]
) -> Request:
    """Return the checked request; load the run's data.

    Args:
        folder: the run directory.
        settings: settings that may change when a run resumes, such as `data.path=…`, and `trust=true`.
        rounds: the rounds; None for all whose first weights are known.
        points: the number of points on each line.
        orders: the seeds of the copies' data orders.

    Raises:
        SettingError: the folder is no run, its rounds cannot be trained again, or a setting or its data have changed.
    """
    run = read_run(folder)
    if run.description.branch is not None:
        of = run.description.branch.of
        raise SettingError(f"{folder}: is a branch, which keeps no first weights of its rounds; give its trunk, {of}")
    config = _read_config(folder, settings)
    _check_processes(run, config)
    plan = lottery_settings(config).plan
    if plan.in_fit:
        raise SettingError(
            f"{folder}: pruning.schedule={config.pruning.schedule} changes the mask while a round trains, so that "
            "copies end under different masks; give a run with pruning.schedule=rounds or at_init"
        )
    standing = find_standing(folder)
    played = {one.record.round: one for one in standing.rounds}
    chosen = _choose_rounds(run, config, played, rounds, standing.damages)
    hide_progress_bars_in_pipes()
    corpus = load(config)
    check_same(folder, config, dict(corpus.fingerprints), standing)
    config = as_recorded(config, run.description.precision)
    return Request(run, config, corpus, played, chosen, points, tuple(orders))


def _read_config(folder: Path, settings: Sequence[str]) -> Config:
    """Return the recorded settings of a run, as they are read when it resumes."""
    for one in settings:
        if one.startswith("-") or "=" not in one:
            raise SettingError(f"{one}: not a setting; write key=value, such as data.path=FOLDER, behind one RUN")
    arguments = resumed_arguments([f"resume={folder}", *map(quote, settings)])
    composed = compose_config(arguments, with_hydra=True)
    set_output_dir(composed, folder)
    with within_job(composed):
        return read_config(composed)


def _check_processes(run: Run, config: Config) -> None:
    count = run.description.processes or 1
    if count > 1 or find_launch(config.trainer, os.environ).start:
        raise SettingError(
            f"{run.folder}: was trained by {count} process{'es' * (count > 1)} of trainer.strategy="
            f"{config.trainer.strategy or 'auto'}; copies train in one process without a process group, whose batches "
            "are others: give a run of such a process"
        )


def _choose_rounds(
    run: Run, config: Config, played: dict[int, PlayedRound], wanted: Sequence[int] | None, damages: Sequence[str]
) -> tuple[int, ...]:
    """Return the rounds to measure; raise unless their mask and their first weights are on disk."""
    if not played:
        raise SettingError(damages[0] if damages else f"{run.folder}: no round is over yet; wait for its first")
    there, last = kept_rounds(run.folder), max(played)
    settings = lottery_settings(config)
    follows = Rewind.parse(settings.rewind).point in ("random", "none") or bool(settings.keep)

    def lacking(number: int) -> int | None:
        """Return the round whose ticket is needed and gone."""
        needed = (number - 1, number) if follows and number else (number,)
        return next((one for one in needed if one not in there), None)

    if wanted is None:
        found = tuple(number for number in played if lacking(number) is None)
        if not found:
            raise SettingError(explain_missing(run.folder, run.description, last, "--rounds {}"))
        return found
    for number in wanted:
        if number not in played:
            damage = f": {damages[0]}" if damages else ""
            raise SettingError(f"--rounds: {run.folder} has no round {number}{damage}; give some of 0 to {last}")
        gone = lacking(number)
        if gone is not None and gone != number:
            raise SettingError(
                f"--rounds: round {number} began from the weights of round {gone}, whose ticket is not on disk; leave "
                f"out round {number}, or restore {run.folder}/tickets/round_{gone:02}.safetensors from a copy"
            )
        if gone is not None:
            raise SettingError(explain_missing(run.folder, run.description, number, "--rounds {}"))
    return tuple(wanted)
