"""The runs of a study: one for each corpus, length, arm and seed. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lt_lightning.config.quoting import quoted
from lt_lightning.errors import SettingError
from lt_lightning.experiment.resume.compare import is_free, without_resume
from lt_lightning.runs.description import Description
from lt_lightning.runs.reading import read_description
from lt_lightning.study.description import Arm, Corpus, Study, overrides_of

_PROTOCOL = ("early_stopping.patience=null",)
"""Settings of every run that the file does not change: each round of each arm trains the same number of steps."""


_OWN = ("trainer.max_epochs", "pruning.rounds", "pruning.amount", "name", "seed", "report", "resume", "branch.of")
"""Settings that a study gives each of its runs."""


@dataclass(frozen=True)
class Job:
    """A run of a study.

    Attributes:
        corpus: the name of its corpus.
        length: the multiple of the corpus' epochs that a round trains.
        arm: the name of its arm.
        seed: its seed.
        rounds: the number of trainings.
        epochs: the epochs of a training; a dense arm trains as many at once as all rounds of the others.
        round_epochs: the epochs of a round of the other arms.
        settings: its overrides, without the folder.
        trunk: the folder, relative to the study's, of the run whose tickets it trains again; or None.
    """

    corpus: str
    length: int
    arm: str
    seed: int
    rounds: int
    epochs: int
    round_epochs: int
    settings: tuple[str, ...]
    trunk: str | None = None

    @property
    def folder(self) -> str:
        """The run directory, relative to the study's folder."""
        return folder_of(self.corpus, self.length, self.arm, self.seed)

    @property
    def work(self) -> int:
        """The epochs of all its trainings."""
        return self.rounds * self.epochs


def folder_of(corpus: str, length: int, arm: str, seed: int) -> str:
    """Return the folder of a run relative to the study's.

    >>> folder_of("agnews", 3, "imp", 0)
    'agnews/x3/imp/seed_0'
    """
    return f"{corpus}/x{length}/{arm}/seed_{seed}"


def jobs_of(study: Study, given: Sequence[str] = (), data: Mapping[str, str] | None = None) -> list[Job]:
    """Return the runs of a study in the order in which they are run.

    All arms of a seed come before the next seed, so that a study that is stopped can be judged with fewer seeds.

    Args:
        study: the study.
        given: further overrides for all runs.
        data: folders of the data, by corpus.

    Raises:
        SettingError: a setting in `given` is one that the study sets itself.
    """
    require_free(study, given)
    jobs = []
    seeds = dict.fromkeys(seed for corpus in study.corpora.values() for seed in corpus.seeds)
    for seed in seeds:
        for name, corpus in study.corpora.items():
            path = (data or {}).get(name)
            extra = [*given, *([] if path is None else [f"data.path={quoted(path)}"])]
            for length in corpus.lengths if seed in corpus.seeds else ():
                jobs += _of_seed(study, name, corpus, length, seed, extra)
    return jobs


def _of_seed(study: Study, name: str, corpus: Corpus, length: int, seed: int, extra: Sequence[str]) -> Iterator[Job]:
    """Yield the runs of one seed; those that retrain tickets come behind the others."""
    for arm_name, arm in sorted(corpus.arms_of(study).items(), key=lambda one: one[1].of is not None):
        rounds, epochs = _budget(corpus, arm, study.steps(arm_name), length)
        common = (*_PROTOCOL, *corpus.settings, f"trainer.max_epochs={epochs}")
        amounts = corpus.amounts_in(arm.steps)
        pruning = (f"pruning.rounds={len(amounts)}", f"pruning.amount={amounts}".replace(" ", ""))
        if arm.of is not None:
            # A branch takes over the settings of its trunk.
            settings, trunk = arm.settings, folder_of(name, length, arm.of, seed)
        elif arm.dense:
            settings, trunk = (*common, "pruning.rounds=0", *arm.settings), None
        else:
            settings, trunk = (*common, *pruning, *arm.settings), None
        merged = overrides_of([*settings, *extra, f"name={study.name}", f"seed={seed}", "report=false"])
        yield Job(name, length, arm_name, seed, rounds, epochs, corpus.epochs * length, tuple(merged.values()), trunk)


def _budget(corpus: Corpus, arm: Arm, steps: int, length: int) -> tuple[int, int]:
    """Return the number of trainings of an arm, and the epochs of each.

    Args:
        corpus: the corpus.
        arm: the arm.
        steps: its number of rounds for each of the corpus'.
        length: the multiple of the corpus' epochs.
    """
    rounds, epochs = len(corpus.densities), corpus.epochs * length
    if arm.dense:
        return 1, (rounds + 1) * epochs
    return rounds * steps + (arm.of is None), epochs


def description_of(folder: Path) -> Description | None:
    """Return the `run.json` of a run; None if the run has not begun, or its record is damaged."""
    try:
        return read_description(folder / "run.json")
    except SettingError:
        return None


def require_free(study: Study, given: Sequence[str]) -> None:
    """Raise a `SettingError` if a setting for all runs is one that the study sets itself."""
    of_arms = {key for arm in study.arms.values() for key in overrides_of(arm.settings)}
    for key in overrides_of(given):
        if key in _OWN or key in of_arms:
            raise SettingError(f"{key}: the study sets it for each run; change the study's file instead")


def require_same_settings(jobs: Sequence[Job], folder: Path) -> None:
    """Raise if a run in the study's folder has other settings than the study's file gives it now.

    Args:
        jobs: the runs of the study.
        folder: its folder.

    Raises:
        SettingError: names the run and the settings that differ.
    """
    by_folder = {job.folder: job for job in jobs}
    for job in jobs:
        described = description_of(folder / job.folder)
        if described is None or described.command is None:
            continue
        then, now = overrides_of(without_resume(described.command)), overrides_of(job.settings)
        if job.trunk in by_folder:  # the record has the settings of the trunk, too
            then.pop("branch.of", None)
            now = overrides_of([*by_folder[job.trunk].settings, *job.settings])
        differing = [key for key in {**now, **then} if then.get(key) != now.get(key) and not _may_change(key)]
        if differing:
            was, is_now = (" ".join(one.get(key, f"no {key}") for key in differing) for one in (then, now))
            raise SettingError(
                f"{folder / job.folder}: was run with {was}, but the study has {is_now}; remove the run, or give the "
                "study another folder (-o)"
            )


def _may_change(key: str) -> bool:
    return is_free(key) and key not in ("metric", "metric_mode", "data.test_fraction", "pruning.rounds")


def is_done(folder: Path) -> bool:
    """Return whether the run in a folder has finished."""
    described = description_of(folder)
    return described is not None and described.finished is not None
