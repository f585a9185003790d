"""A run directory from elsewhere runs no code: neither when it goes on, nor when it is read."""

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from cutting import packed
from omegaconf import OmegaConf

from lt_lightning.config.quoting import find_targets, literal
from lt_lightning.config.schema import Config
from lt_lightning.errors import SettingError
from lt_lightning.evaluate import __main__ as evaluate
from lt_lightning.experiment.hydra_main import run_hydra
from lt_lightning.experiment.resume.command import resumed_arguments, write_sweep
from lt_lightning.experiment.resume.compare import without_resume
from lt_lightning.experiment.resume.trust import find_untrusted, own_targets
from lt_lightning.export import __main__ as export
from lt_lightning.report import __main__ as report
from lt_lightning.runs.description import write_content
from lt_lightning.train import task
from trials.kills import SMALL

EVIL = (
    "trainer.callbacks=[{_target_: evil.C}]", "trainer.callbacks=[{x: [{_target_: evil.C}]}]",
    "trainer.strategy._target_=evil.C", "pruning.criterion=evil.f", "++pruning.criterion=magnitude,evil.f",
    "pruning.scope=evil.f", "++pruning={criterion: evil.f}", "pruning.criterion=${data.path}",
    "+trainer.strategy={_target_: evil.C},{_target_: evil.D}",
    "trainer.callbacks=[{_target_: lt_lightning.storage.atomic.write_whole}]",
    "trainer.logger='${oc.decode:\"{_tar\"}'", "trainer.logger=${oc.create:'{a: 1}'}", "trainer.logger=${${name}:x}",
    "+hydra.callbacks.x={_target_: torch.load, f: x, weights_only: false}",
    "hydra.job_logging.handlers.file.filename=/x", "hydra.job_logging={version: 1}", "++hydra={callbacks: {x: 1}}",
    "~hydra.callbacks.check", "hydra.searchpath=[file:///x]", "hydra/launcher=../x", "hydra/job_logging=none",
    "+model@hydra.callbacks.x=cnn", "model=../../x", "+experiment=[quickstart,/x]", "model=a,../b", "model=${name}",
    "--config-dir=/x", "-cd", "a=[", "hydra.launcher.setup=[reboot]", "hydra.launcher.partition='a\nreboot'",
    "hydra.launcher.partition='a b'", "hydra.launcher.additional_parameters={prolog: x}", "hydra.launcher._target_=x.Y",
    "hydra.launcher.timeout_min={_target_: x}", "hydra.launcher.submitit_folder=/x", "hydra.launcher.pre_dispatch=f()",
    "hydra.launcher.ray.init.address=ray://x:1", "hydra.launcher.partition=${oc.env:X}",
    "trainer.logger='${hydra:job.name}'", "hydra.sweeper.sampler=cmaes", "hydra.sweeper.sampler=${name}",
)  # fmt: skip
PLAIN = (
    "seed=0,1,2", "+experiment=quickstart", "model=cnn", "pruning.criterion=magnitude,random",
    "pruning.scope=layerwise,global", "data.path=microscope.csv", "data.path=../texts", "data.path=${oc.env:TEXTS}",
    "data.path=/a/\\${b}", "pruning.ticket=tickets/${seed}.safetensors", "pruning.exclude=[],[embedding.*]",
    "data.pairs=[[a,b],[c,d]]", "hydra.sweep.subdir=${hydra.job.override_dirname}", "hydra/launcher=joblib",
    "trainer.logger=false", "hydra.launcher.timeout_min=600", "hydra.launcher.partition=gpu-long",
    "hydra.launcher.qos=null", "hydra.launcher.gres=gpu:a100:2", "hydra.launcher.ray.remote.num_cpus=2",
    "trainer.default_root_dir=${hydra:runtime.output_dir}", "hydra.sweeper.sampler=grid",
)  # fmt: skip


@pytest.mark.parametrize("argument", EVIL)
def test_an_override_that_could_run_code_is_not_taken_from_a_record(argument: str) -> None:
    assert find_untrusted(["seed=1", argument]) == [argument]


@pytest.mark.parametrize("argument", PLAIN)
def test_plain_settings_are_taken_from_a_record(argument: str) -> None:
    assert find_untrusted([argument]) == []


def test_targets_of_the_own_configuration_tree_are_trusted() -> None:
    assert "lt_lightning.experiment.start_check.CheckConfig" in own_targets()
    for target in own_targets():
        assert find_untrusted([f"+trainer.x={{_target_: {target}}}"]) == []
    assert find_targets({"a": [{"_target_": "x.Y", "b": {"_target_": "z"}}]}) == ["x.Y", "z"]


def test_each_untrusted_setting_is_named_until_it_is_given_again_or_trusted(tmp_path: Path) -> None:
    recorded = ["seed=1", "trainer.callbacks=[{_target_: my.C}]", "hydra.verbose=true"]
    (tmp_path / "run.json").write_text(json.dumps({"command": recorded, "config": {}}))
    resume = f"resume={tmp_path}"
    with pytest.raises(SettingError) as error:
        resumed_arguments([resume])
    assert str(error.value).startswith(
        f"resume: {tmp_path} was started with 'trainer.callbacks=[{{_target_: my.C}}]' and hydra.verbose=true; "
    )
    assert "repeat them, or add trust=true" in str(error.value)
    with pytest.raises(SettingError, match=r"was started with hydra\.verbose=true; "):
        resumed_arguments([resume, recorded[1]])
    assert resumed_arguments([resume, *recorded[1:]])[:3] == recorded
    trusted = resumed_arguments([resume, "trust=true"])
    assert trusted[:3] == recorded
    assert not any(argument.startswith("trust") for argument in trusted)
    with pytest.raises(SettingError, match="trust: 'perhaps' is neither true nor false"):
        resumed_arguments([resume, "trust=perhaps"])


def test_a_record_cannot_trust_itself(tmp_path: Path) -> None:
    recorded = ["trust=true", "++trust=true", "hydra.verbose=true"]
    (tmp_path / "run.json").write_text(json.dumps({"command": recorded, "config": {}}))
    with pytest.raises(SettingError, match=r"was started with hydra\.verbose=true; "):
        resumed_arguments([f"resume={tmp_path}"])
    assert without_resume(recorded) == ["hydra.verbose=true"]


def test_a_sweeps_record_is_trusted_no_more_than_a_runs(tmp_path: Path) -> None:
    write_sweep(tmp_path, ["seed=0,1", "trainer.callbacks=[{_target_: my.C}]"], ["hydra.verbose=true"])
    with pytest.raises(SettingError, match=r"_target_: my\.C.* and hydra\.verbose=true; "):
        resumed_arguments([f"resume={tmp_path}"])
    (tmp_path / "multirun.yaml").write_text(
        "hydra:\n  overrides:\n    task: [seed=1]\n    hydra: [hydra.verbose=true]\n"
    )
    (tmp_path / "sweep.json").unlink()
    with pytest.raises(SettingError, match=r"was started with hydra\.verbose=true; "):
        resumed_arguments([f"resume={tmp_path}"])


@pytest.mark.parametrize("std", [["a"], {"_target_": "evil.C"}, "1,{_target_: evil.C}", "${oc.decode:x}", None, True])
def test_a_recorded_configuration_adds_nothing_but_numbers_to_its_command(tmp_path: Path, std: Any) -> None:
    config = {"data": {"name": "files"}, "model": {"name": "multi_cnn"}, "embedding": {"std": std}}
    (tmp_path / "run.json").write_text(json.dumps({"command": ["data=files"], "config": config}))
    merged = resumed_arguments([f"resume={tmp_path}"])
    assert [one for one in merged if one.startswith("embedding.std")] == (["embedding.std=true"] if std is True else [])


def test_trust_without_resume_is_refused(configure: Callable[..., Config]) -> None:
    with pytest.raises(SettingError, match=r"^trust: only goes with resume=FOLDER or branch.of=RUN; leave it out$"):
        configure("trust=true")


TEXTS = ("${oc.env:HOME}", "a\\${b}", "\\\\${b}", "${oc.decode:'{_target_: os.getcwd}'}", "$x")


@pytest.mark.parametrize("text", TEXTS)
def test_a_recorded_text_that_looks_like_an_interpolation_stays_text(text: str) -> None:
    assert OmegaConf.to_container(OmegaConf.create(literal({"x": {"a": [text]}})), resolve=True) == {"x": {"a": [text]}}


@pytest.mark.slow
def test_no_text_with_an_interpolation_reaches_what_makes_objects(configure: Callable[..., Config]) -> None:
    with pytest.raises(SettingError, match=r"trainer\.profiler: \$\{oc\.decode:x\} is not possible here"):
        configure("trainer.profiler='\\${oc.decode:x}'")
    with pytest.raises(SettingError, match=r"trainer\.logger: \$\{seed\} is not possible here"):
        configure("trainer.logger={_target_: my.Logger, x: [{y: '\\${seed}'}]}")


@pytest.fixture
def hostile(whole: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run whose files name objects of a module beside it, which leaves a mark when it is imported."""
    run = shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "evil.py").write_text("open('mark', 'w').close()\n\ndef C(*given, **named):\n    pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    target: dict[str, Any] = {"_target_": "evil.C"}
    description = json.loads((run / "run.json").read_text())
    settings = ["data=files", f"data.path={corpus}", *SMALL, "trainer.callbacks=[{_target_: evil.C}]"]
    description["command"] = [*settings, "+hydra.callbacks.x={_target_: evil.C}"]
    description["config"]["trainer"] |= {"callbacks": [target], "logger": target, "strategy": target}
    for group in ("data", "model", "optimizer", "embedding"):
        description["config"][group]["_target_"] = "evil.C"
    write_content(run, description)
    return run


def _is_untouched(folder: Path) -> bool:
    return "evil" not in sys.modules and not (folder / "mark").exists()


def _train(arguments: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["lt_lightning.train", *arguments])
    with pytest.raises(SystemExit) as leaving:
        run_hydra(task)
    return leaving.value.code


def test_going_on_with_a_hostile_run_runs_none_of_its_code(hostile, tmp_path, monkeypatch, capsys):
    before = {path: path.read_bytes() for path in hostile.rglob("*") if path.is_file()}
    assert _train(["resume=run"], monkeypatch) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "'trainer.callbacks=[{_target_: evil.C}]' and '+hydra.callbacks.x={_target_: evil.C}'" in said
    assert _is_untouched(tmp_path)
    assert {path: path.read_bytes() for path in hostile.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_reading_a_hostile_run_runs_none_of_its_code(hostile, corpus, tmp_path, monkeypatch):
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("an object is made")

    monkeypatch.setattr("hydra.utils.instantiate", refuse)
    monkeypatch.setattr("lt_lightning.experiment.trainer.instantiate", refuse)
    assert report.main(["run"]) == 0
    assert export.main(["run", "-o", "ticket.safetensors"]) == 0
    assert export.main(["run", "--half", "-o", "half.safetensors"]) == 0
    assert evaluate.main(["ticket.safetensors", "data=files", f"data.path={corpus}"]) == 0
    packed(hostile, 1, tmp_path / "other.safetensors")
    assert _is_untouched(tmp_path)
