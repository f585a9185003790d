"""The groups `callbacks`: pruned entries stay zero with each, and monitors change no number."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.utils import instantiate

from lt_lightning.errors import SettingError
from lt_lightning.experiment.folders import release
from lt_lightning.experiment.hydra_main import compose_config
from lt_lightning.experiment.start_check import prepare_run
from lt_lightning.experiment.trainer import with_callbacks
from lt_lightning.runs.round_ticket import RoundTicket
from lt_lightning.runs.rounds import ticket_path

Play = Callable[..., Path]


def numbers(run: Path) -> list[list[str]]:
    return [line.split(",")[:10] for line in (run / "results.csv").read_text().splitlines()]


@pytest.fixture(scope="module")
def plain(play_small: Play, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return play_small(tmp_path_factory.mktemp("plain") / "run")


@pytest.mark.slow
@pytest.mark.parametrize(("choice", "more", "changes"), [
    ("ema", ("callbacks.ema.decay=0.8",), True),
    ("swa", ("callbacks.swa.swa_epoch_start=1",), True),
    ("early_stopping", ("callbacks.early_stopping.patience=1",), False),
    ("[lr_monitor,device_stats]", ("logger=csv", "trainer.log_every_n_steps=1"), False),
])  # fmt: skip
def test_pruned_entries_stay_zero_and_monitors_change_no_number(play_small, plain, tmp_path, choice, more, changes):
    from lt_lightning.config.aliases import stored_override

    run = play_small(tmp_path / "run", *map(stored_override, (f"+callbacks={choice}", *more)))
    for number in (1, 2):
        ticket = RoundTicket.load(ticket_path(run, number))
        for name, alive in ticket.mask.items():
            assert not ticket.weights[name][~alive].any(), name
            assert ticket.weights[name][alive].count_nonzero() > 0
    assert (numbers(run) != numbers(plain)) == changes
    if "lr_monitor" in choice:
        header = (run / "csv" / "metrics.csv").read_text().partition("\n")[0]
        assert "lr-LivingAdam" in header
        assert "DeviceStatsMonitor.on_train_batch_start/cpu_vm_percent" in header


@pytest.mark.parametrize("name", ["ema", "swa", "lr_monitor", "device_stats"])
def test_each_choice_is_a_callback_of_lightnings(configure, name):
    config = configure(f"callbacks={name}", "logger=csv")
    assert type(instantiate(config.callbacks[name])).__module__.startswith("pytorch_lightning.callbacks")


def test_a_monitor_without_a_tracker_is_refused(configure):
    with pytest.raises(SettingError, match=r"callbacks\.lr_monitor: LearningRateMonitor writes to a tracker"):
        configure("callbacks=lr_monitor")
    with pytest.raises(SettingError, match=r"trainer\.callbacks\[0\]: LearningRateMonitor writes to a tracker"):
        configure("trainer.callbacks=[{_target_: pytorch_lightning.callbacks.LearningRateMonitor}]")


def test_a_run_that_may_have_begun_is_refused_with_a_monitor_only_if_it_has_not(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    overrides = ["callbacks=lr_monitor", "resume=auto", "hydra.run.dir=run"]
    with pytest.raises(SettingError, match=r"^callbacks\.lr_monitor: LearningRateMonitor writes to a tracker"):
        prepare_run(compose_config(overrides, with_hydra=True))
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    try:
        assert prepare_run(compose_config(overrides, with_hydra=True)).resume == "auto"
    finally:
        release(failed=False)


def test_a_run_that_resumes_without_its_tracker_leaves_monitors_out(configure, caplog):
    listed = "trainer.callbacks=[{_target_: pytorch_lightning.callbacks.DeviceStatsMonitor}]"
    monitors = ["callbacks=[lr_monitor,ema]", listed]
    (kept,) = with_callbacks(configure(*monitors, "resume=RUN")).trainer.callbacks or []
    assert kept["_target_"].endswith("EMAWeightAveraging")
    assert [one.partition(" writes")[0] for one in caplog.messages] == [
        "callbacks.lr_monitor: LearningRateMonitor",
        "trainer.callbacks[0]: DeviceStatsMonitor",
    ]
    assert len(with_callbacks(configure(*monitors, "resume=RUN", "logger=csv")).trainer.callbacks or []) == 3


def test_early_stopping_as_a_callback_is_the_setting(configure):
    assert configure("callbacks=early_stopping").early_stopping.patience == 3
    assert configure("callbacks=early_stopping", "early_stopping.patience=7").early_stopping.patience == 7
