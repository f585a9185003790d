"""Trackers that cannot begin, and settings of trackers that do not go together: one line each, before round 0."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from lt_lightning.config.quoting import quote_arguments
from lt_lightning.config.schema import Config
from lt_lightning.config.trackers import LoggerConfig, MlflowSettings, WandbSettings, require_packages
from lt_lightning.errors import SettingError
from lt_lightning.experiment.hydra_main import compose_config
from lt_lightning.experiment.start_check import prepare_run
from lt_lightning.experiment.tracking import holds_secrets, hyperparameters
from lt_lightning.runs.description import Description
from lt_lightning.trackers.base import TrackerError
from lt_lightning.trackers.reach import require_answer


@pytest.mark.parametrize(("overrides", "said"), [
    (["logger=wandb", "logger.wandb.offline=true", "logger.wandb.mode=online"], "mode: online contradicts"),
    (["logger=wandb", "logger.wandb.mode=fast"], "logger.wandb.mode: fast is none of"),
    (["logger=wandb", "logger.wandb.projct=x"], "logger.wandb.projct: no such setting; did you mean logger"),
    (["logger=mlflow", "logger.mlflow.tags=3"], "logger.mlflow.tags: 3 is not a mapping"),
    (["logger=trackio", "logger.trackio.server_url='http://x?write_token=1'"], "TRACKIO_WRITE_TOKEN"),
    (["logger=mlflow", "logger.offline=true", "logger.mlflow.tracking_uri=https://me:pw@host"], "uri: https://host is"),
    (["logger=trackio", "logger.offline=true", "logger.trackio.space_id=me/runs"], "space_id: me/runs is not on this"),
    (["logger.tickets=some"], "logger.tickets: 'some' is none of none, winners, all"),
    (["logger=wandbb"], "did you mean wandb"),
    (["+callbacks.mine=3"], "callbacks.mine: 3 is not an object"),
])  # fmt: skip
def test_wrong_settings_are_one_line(configure, overrides, said):
    with pytest.raises(SettingError) as refused:
        configure(*overrides)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_setting_of_a_tracker_that_is_off_names_the_choice():
    with pytest.raises(SettingError, match=r"^logger\.wandb\.project: only read with logger=wandb"):
        compose_config(["logger.wandb.project=x"])


def test_a_missing_package_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setattr("lt_lightning.config.trackers.find_spec", lambda name: None)
    with pytest.raises(SettingError, match=r"^logger\.wandb: W&B needs .* pip install 'lt-lightning\[wandb\]'$"):
        require_packages(LoggerConfig(wandb=WandbSettings()))


def test_a_server_that_does_not_answer_is_known_within_seconds():
    with pytest.raises(TrackerError, match=r"^http://127\.0\.0\.1:9 cannot be reached \(.*refused.*\); start it$"):
        require_answer("http://127.0.0.1:9", "start it")
    require_answer("sqlite:///x.db", "")
    with pytest.raises(TrackerError, match=r"^http://127\.0\.0\.1:9 cannot be reached \(.*refused.*\); start it$"):
        require_answer("http://me:secret@127.0.0.1:9", "start it")


def test_trackers_get_no_secrets():
    trainer = {"max_epochs": 1, "logger": {"_target_": "my.Logger", "api_key": "S3CRET"}}
    described = Description.from_json({"config": {"seed": 1, "trainer": trainer}})
    kept = hyperparameters(described)
    assert kept["trainer.max_epochs"] == 1
    assert "S3CRET" not in str(kept)
    assert holds_secrets(described)
    assert holds_secrets(Description.from_json({"config": {"logger": {"mlflow": {"tracking_uri": "https://a:b@c"}}}}))
    assert not holds_secrets(Description.from_json({"config": {"seed": 1, "trainer": {"max_epochs": 1}}}))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_servers_that_cannot_be_used_stop_the_run_before_it_trains(play_small, monkeypatch, tmp_path):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for tracker, said in {
        "wandb": r"^logger\.wandb: there is no API key; run `wandb login`, .*logger\.offline=true",
        "mlflow": r"^logger\.mlflow: http://127\.0\.0\.1:9 cannot be reached",
    }.items():
        address = "logger.mlflow.tracking_uri=http://127.0.0.1:9"
        pytest.importorskip(tracker)
        more = [address] if tracker == "mlflow" else []
        with pytest.raises(SettingError, match=said):
            play_small(tmp_path / tracker, f"logger={tracker}", *more)
        assert list((tmp_path / tracker).iterdir()) == []


def test_paths_are_relative_to_the_users_folder(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    here = Path("/here")
    uris = {
        None: "sqlite:////here/outputs/mlflow.db", "sqlite:///a.db": "sqlite:////here/a.db", "runs": "/here/runs",
        "sqlite:////b/a.db": "sqlite:////b/a.db", "http://x:5000": "http://x:5000", "file:runs": "file:/here/runs",
    }  # fmt: skip
    for given, absolute in uris.items():
        assert MlflowSettings(tracking_uri=given).relative_to(here).tracking_uri == absolute
    assert WandbSettings(save_dir="w").relative_to(here).save_dir == "/here/w"


def test_a_logger_may_lie_in_hydras_output_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    target = "trainer.logger={_target_: pytorch_lightning.loggers.CSVLogger, save_dir: '${hydra:runtime.output_dir}'}"
    composed = compose_config(quote_arguments([target, "hydra.run.dir=here"]), with_hydra=True)
    config = prepare_run(composed)
    assert isinstance(config, Config)
    assert config.trainer.logger["save_dir"] == os.fspath(tmp_path / "here")
