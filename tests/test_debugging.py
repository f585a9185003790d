"""Runs for debugging: whole, quick and marked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.loggers import CSVLogger

from lt_lightning.config.folder import config_folder
from lt_lightning.config.quoting import quote_arguments
from lt_lightning.errors import SettingError
from lt_lightning.experiment.hydra_main import compose_config
from lt_lightning.experiment.trainer import make_trainer
from lt_lightning.models import Learner

MODES = ("default", "fast", "limit", "overfit", "profiler")
EXPERIMENTS = {path.stem: path.read_text() for path in sorted(Path(config_folder(), "experiment").glob("[!_]*.yaml"))}


@pytest.mark.slow
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_any_experiment_can_be_debugged(configure, experiment):
    given = ["pruning.ticket=FILE"] if experiment.startswith("transfer") else []
    given += ["branch.of=RUN"] if "\nbranch:" in EXPERIMENTS[experiment] else []
    config = configure(*quote_arguments(["debug=fast", f"+experiment={experiment}", *given]))
    assert (config.debug_mode, config.pruning.rounds in (0, 1), config.trainer.max_epochs) == ("fast", True, 1)


@pytest.mark.parametrize("mode", MODES)
def test_a_debug_run_has_a_folder_apart_and_gives_way_to_what_is_typed(mode):
    arguments = quote_arguments([f"debug={mode}", "+experiment=quickstart", "trainer.max_epochs=2"])
    config = compose_config(arguments, with_hydra=True)
    assert config.hydra.run.dir.startswith("outputs/debug/quickstart/")
    assert (config.debug_mode, config.trainer.max_epochs) == (mode, 2)


def test_the_templates_names_are_known(configure):
    assert configure(*quote_arguments(["debug=fdr"])).debug_mode == "fast"
    assert any(configure("logger=many_loggers").logger.chosen())


def test_a_debug_run_is_whole_and_marked(run_settings, corpus, tmp_path):
    data = ["data=files", f"data.path={corpus}", "trainer=cpu", "model.filters=4", "embedding.dim=6"]
    run = run_settings([*data, *quote_arguments(["debug=fast"])], "debug=fast", run=tmp_path / "run", report=True)
    description = json.loads((run / "run.json").read_text())
    assert description["config"]["debug_mode"] == "fast"
    assert len((run / "results.csv").read_text().splitlines()) == 3
    assert "A run for debugging (debug=fast): its numbers are no results." in (run / "report.html").read_text()


def test_the_profile_is_in_the_run_directory_whatever_the_loggers(configure, tmp_path):
    config = configure(*quote_arguments(["debug=profiler"]))
    trainer: Any = make_trainer(config.trainer, [], tmp_path / "run", loggers=[CSVLogger(tmp_path / "logs")])
    trainer.profiler.setup("fit", log_dir=trainer.log_dir)
    trainer.profiler.describe()
    assert (tmp_path / "run" / "fit-profile.txt").is_file()


def test_overfitting_trains_the_same_batches_in_all_epochs_and_rounds(play_small, monkeypatch, tmp_path):
    seen: list[torch.Tensor] = []
    step = Learner.training_step

    def look(self: Learner, batch: Any, number: int) -> Any:
        seen.append(batch[0].clone())
        return step(self, batch, number)

    monkeypatch.setattr(Learner, "training_step", look)
    play_small(tmp_path / "run", "trainer.overfit_batches=2", "pruning.rounds=1", epochs=3)
    assert len(seen) == 2 * 3 * 2
    assert all(torch.equal(one, seen[place % 2]) for place, one in enumerate(seen))
    assert not torch.equal(seen[0], seen[1])


def test_an_unknown_mode_is_one_line(configure: Callable[..., Any]):
    with pytest.raises(SettingError, match="did you mean fast"):
        configure(*quote_arguments(["debug=fst"]))
