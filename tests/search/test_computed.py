"""Searches whose runs compute their values by a formula: killed, resumed, pruned, planted and shared."""

import csv
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode
from omegaconf import OmegaConf, open_dict

from lt_lightning.config.folder import config_folder
from lt_lightning.config.quoting import quote
from lt_lightning.config.schema import register_schema
from lt_lightning.errors import ResumableError, SettingError
from lt_lightning.experiment.interpolations import set_output_dir, within_job
from lt_lightning.search.storage import JOURNAL, open_storage
from lt_lightning.search.study import StudyPlace
from lt_lightning.search.sweeper import Search
from lt_lightning.search.trial import RoundReports, TrialPlace, find_trial

optuna = pytest.importorskip("optuna", reason="needs the extra [optuna]")

Run = Callable[[Mapping[str, float], TrialPlace], float]
ROUNDS = 3
VARIED = ("optimizer.lr=tag(log,interval(1e-5,1e-1))", "pruning.amount=choice(0.3,0.6)")
MEDIAN = (
    "hydra.sweeper.pruner=median",
    "+hydra.sweeper.pruner_options.n_startup_trials=2",
    "+hydra.sweeper.sampler_options.n_startup_trials=3",
)


class Killed(BaseException):
    """The process of a search ends."""


def value_after(settings: Mapping[str, float], round: int) -> float:
    """Return a value that is best at a learning rate of 0.01, and rises from round to round."""
    return -((math.log10(settings["optimizer.lr"]) + 2) ** 2) - settings["pruning.amount"] / (round + 1)


def compute(settings: Mapping[str, float], place: TrialPlace) -> float:
    """Run a trial as the rounds of a run do."""
    reports, values = RoundReports(place), dict[int, float]()
    for last in range(ROUNDS):
        values[last] = value_after(settings, last)
        if reports.report(values, may_stop=last < ROUNDS - 1):
            break
    return values[max(values)]


def dying_at(number: int, *, before: bool = False) -> Run:
    """Return a run whose process ends at a trial, before it or before its value is told."""

    def run(settings: Mapping[str, float], place: TrialPlace) -> float:
        if place.number == number and before:
            raise Killed
        value = compute(settings, place)
        if place.number == number:
            raise Killed
        return value

    return run


class Launcher:
    """Runs jobs one after the other as this package's launchers do, and notes the batches.

    Composing a configuration takes most of the time of a trial, so that only the first job of a start has one.
    """

    def __init__(self, context: HydraContext, config: Any, run: Run) -> None:
        self._context, self._config, self._run = context, config, run
        self.batches: list[list[int]] = []
        self.found: TrialPlace | None = None

    def launch_numbered(self, jobs: Mapping[int, Sequence[str]], total: int) -> dict[int, Any]:
        self.batches.append([*jobs])
        return {number: self._job(number, one) for number, one in jobs.items()}

    def _job(self, number: int, overrides: Sequence[str]) -> Any:
        self.found = self.found or self._find(number, overrides)
        folder = Path(self._config.hydra.sweep.dir, str(number)).absolute()
        place = replace(self.found, number=number, folder=str(folder))
        settings = {key: float(value) for key, _, value in (one.partition("=") for one in overrides) if "." in key}
        try:
            value: Any = self._run(settings, place)
        except SettingError as error:
            value = error
        config = OmegaConf.create({"hydra": {"runtime": {"output_dir": place.folder}}})
        return SimpleNamespace(hydra_cfg=config, _return_value=value)

    def _find(self, number: int, overrides: Sequence[str]) -> TrialPlace:
        config: Any = self._context.config_loader.load_sweep_config(self._config, list(overrides))
        with open_dict(config):
            config.hydra.job.num = number
        set_output_dir(config, Path(config.hydra.sweep.dir, str(number)))
        found = find_trial(config.hydra)
        assert found is not None
        return found


class ComposingLauncher(Launcher):
    """Composes the configuration of each job."""

    def _job(self, number: int, overrides: Sequence[str]) -> Any:
        self.found = None
        return super()._job(number, overrides)


class HydrasLauncher:
    """Runs jobs with consecutive numbers alone."""

    def __init__(self, *arguments: Any) -> None:
        self._launcher = Launcher(*arguments)
        self.batches = self._launcher.batches

    def launch(self, jobs: Sequence[Sequence[str]], initial_job_idx: int) -> list[Any]:
        return [*self._launcher.launch_numbered(dict(enumerate(jobs, initial_job_idx)), len(jobs)).values()]


Start = Callable[..., tuple[float | None, list[list[int]]]]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start a search in this process: `start(run, *arguments, sweep="sweep", launcher=Launcher)`.

    Returns:
        The best value, and the numbers of the trials that were launched together.
    """
    register_schema()
    monkeypatch.chdir(tmp_path)

    def start(run: Run, *arguments: str, sweep: str = "sweep", launcher: Any = Launcher) -> Any:
        loader = GlobalHydra.instance().config_loader()
        context = HydraContext(loader, Callbacks())
        overrides = ["hydra/sweeper=optuna", f"hydra.sweep.dir={sweep}", "objective=auc", *map(quote, arguments)]
        config: Any = loader.load_configuration("config", overrides, run_mode=RunMode.MULTIRUN)
        made = launcher(context, config, run)
        monkeypatch.setattr(Plugins, "instantiate_launcher", lambda *_, **__: made)
        with within_job(config):
            return Search(config, context, lambda _: None).run(list(config.hydra.overrides.task)), made.batches

    with initialize_config_dir(config_folder(), version_base="1.3"):
        yield start


def trials(folder: str = "sweep") -> list[dict[str, str]]:
    with Path(folder, "trials.csv").open() as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def study() -> Any:
    journal = Path("sweep", JOURNAL).absolute()
    return optuna.load_study(study_name="custom", storage=open_storage(str(journal)))


@pytest.mark.slow
def test_a_search_that_is_killed_again_and_again_ends_with_the_trials_of_one_left_alone(start) -> None:
    settings = (*VARIED, *MEDIAN, "hydra.sweeper.n_trials=8")
    whole = start(compute, *settings, sweep="whole")
    states = [one["state"] for one in trials("whole")]
    stopped = states.index("pruned")
    assert states.count("complete") >= 3 and 2 < stopped < 7
    for killed in (dying_at(1, before=True), dying_at(2), dying_at(stopped), dying_at(7, before=True)):
        with pytest.raises(Killed):
            start(killed, *settings)
        assert study().trials[-1].state.name == "RUNNING"
    best = max(float(one["value"]) for one in trials("whole") if one["state"] == "complete")
    assert start(compute, *settings)[0] == whole[0] == best
    assert trials() == trials("whole")
    assert [one["folder"] for one in trials()] == [str(number) for number in range(8)]


def test_a_search_whose_trials_were_all_stopped_has_no_best_one(start, capsys) -> None:
    hopeless = ("hydra.sweeper.pruner=threshold", "+hydra.sweeper.pruner_options.lower=1")
    assert start(compute, *VARIED, *hopeless, "hydra.sweeper.n_trials=3")[0] is None
    assert [one["state"] for one in trials()] == ["pruned"] * 3
    assert "3 trials: 3 stopped as hopeless; no trial is complete" in capsys.readouterr().out


def test_a_planted_trial_does_not_run(start) -> None:
    start(compute, *VARIED, "hydra.sweeper.n_trials=1")
    values = {"optimizer.lr": 0.01, "pruning.amount": "0.3,model._target_:evil.Net"}
    planted = optuna.trial.create_trial(
        state=optuna.trial.TrialState.RUNNING,
        params=values,
        distributions={name: optuna.distributions.CategoricalDistribution([one]) for name, one in values.items()},
        user_attrs=study().trials[0].user_attrs,
    )
    study().add_trial(planted)
    with pytest.raises(SettingError) as refused:
        start(dying_at(1, before=True), *VARIED, "hydra.sweeper.n_trials=3")
    said = (
        f"storage: trial 1 in sweep/{JOURNAL} has pruning.amount={values['pruning.amount']!r}, which is not in choice"
    )
    assert said in str(refused.value)
    assert study().trials[1].state.name == "RUNNING"


@pytest.mark.slow
def test_trials_of_a_batch_run_together_beside_those_of_another_search(start) -> None:
    shared = (*VARIED, "hydra.sweeper.storage=shared.journal")
    with pytest.raises(Killed):
        start(dying_at(0), *shared)
    assert start(compute, *shared, "hydra.sweeper.n_trials=2", sweep="other")[1] == [[1]]
    shared += ("hydra.sweeper.n_jobs=2",)
    assert start(compute, *shared, "hydra.sweeper.n_trials=5")[1] == [[0, 2], [3, 4]]
    assert start(compute, *shared, "hydra.sweeper.n_trials=7", sweep="other", launcher=HydrasLauncher)[1] == [[5], [6]]
    assert [one["state"] for one in trials("other")] == ["complete"] * 7
    assert [one["folder"] for one in trials()] == ["0", "../other/1", "2", "3", "4"]


def test_jobs_name_the_study_of_their_search_whatever_they_vary_and_wherever_they_run(start, tmp_path) -> None:
    places: list[TrialPlace] = []

    def note(settings: Mapping[str, float], place: TrialPlace) -> float:
        os.chdir(tmp_path / "elsewhere")
        places.append(place)
        try:
            return compute(settings, place)
        finally:
            os.chdir(tmp_path)

    (tmp_path / "elsewhere").mkdir()
    start(
        note, *VARIED, "seed=7,8", "hydra.sweeper.n_trials=2", "hydra.sweeper.study_name=its ${name} ${seed}",
        "hydra.sweeper.storage=elsewhere/${name}.journal", "hydra.sweeper.pruner=threshold",
        "+hydra.sweeper.pruner_options.upper=${seed}", launcher=ComposingLauncher,
    )  # fmt: skip
    expected = StudyPlace(str(tmp_path / "elsewhere/custom.journal"), "its custom 0", "threshold", {"upper": 0})
    assert [place.study for place in places] == [expected] * 2
    assert [(place.number, place.folder) for place in places] == [(n, str(tmp_path / f"sweep/{n}")) for n in (0, 1)]
    assert [one["state"] for one in trials()] == ["complete"] * 2
    assert not (tmp_path / "sweep" / JOURNAL).exists()


def test_a_trial_whose_storage_is_away_goes_on_later(start, tmp_path) -> None:
    journal, away = tmp_path / "sweep" / JOURNAL, tmp_path / "away"

    def lose(settings: Mapping[str, float], place: TrialPlace) -> float:
        journal.rename(away)
        return compute(settings, place)

    with pytest.raises(
        ResumableError, match=r"trial 0 cannot be recorded \(sweep.* cannot be opened \(No such.*\); make"
    ):
        start(lose, *VARIED)
    assert not journal.exists()
    away.rename(journal)
    start(compute, *VARIED, "hydra.sweeper.n_trials=2")
    assert [one["state"] for one in trials()] == ["complete"] * 2

    place = StudyPlace(str(journal), "custom")
    for wrong in (TrialPlace(place, 9, "9"), TrialPlace(StudyPlace(str(journal), "none"), 0, "0")):
        with pytest.raises(ResumableError, match="cannot be recorded"):
            RoundReports(wrong).report({0: 0.5}, may_stop=True)


def test_a_defect_is_no_storage_that_is_away(start, monkeypatch) -> None:
    def defect(*_: Any) -> bool:
        raise KeyError("a defect")

    monkeypatch.setattr(optuna.pruners.NopPruner, "prune", defect)
    with pytest.raises(KeyError, match="a defect"):
        start(compute, *VARIED)
