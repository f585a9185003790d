"""The command line of a branch: its trunk's, changed by what is typed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lt_lightning.errors import SettingError
from lt_lightning.experiment.branch.command import branched_arguments
from lt_lightning.experiment.hydra_main import compose_config
from lt_lightning.experiment.resume.command import resumed_arguments, write_sweep
from lt_lightning.runs.description import write_content

Record = Callable[..., Path]


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """Writes a run.json with a command, and the values of `pruning` in its configuration."""

    def record(*command: str, **pruning: Any) -> Path:
        run = tmp_path / "trunk"
        run.mkdir()
        write_content(
            run, {"format": 2, "command": command, "config": {"pruning": pruning, "optimizer": {"name": "adam"}}}
        )
        return run

    return record


def test_what_is_typed_takes_the_place_of_what_is_on_record(record):
    run = record("+experiment=quickstart", "optimizer.lr=0.02", "seed=3", "pruning.rewind=init")
    assert branched_arguments([f"branch.of={run}", "optimizer.lr=0.1", "pruning.mask=shuffle"]) == [
        "+experiment=quickstart", "optimizer.lr=0.1", "seed=3", "pruning.rewind=init", f"branch.of={run}",
        "pruning.mask=shuffle", "hydra.mode=RUN",
    ]  # fmt: skip


def test_other_command_lines_stay_as_they_are(record):
    run = record("seed=3")
    for arguments in (["seed=1"], ["branch.of=null"], ["-m", "seed=1,2"], [f"branch.of={run}", "resume=elsewhere"]):
        assert branched_arguments(arguments) == arguments


def test_another_optimizer_begins_with_its_own_defaults(record):
    run = record("optimizer=adam", "optimizer.fused=true", "optimizer.lr=0.02", "trainer.max_epochs=4")
    given = branched_arguments([f"branch.of={run}", "optimizer=sgd", "optimizer.lr=0.5", "trainer=gpu"])
    assert given == [
        "optimizer=sgd", "optimizer.lr=0.5", "trainer.max_epochs=4", f"branch.of={run}", "trainer=gpu",
        "hydra.mode=RUN",
    ]  # fmt: skip
    assert "optimizer.fused=true" in branched_arguments([f"branch.of={run}", "optimizer=adam"])


def test_the_trunks_folder_and_other_settings_of_hydra_do_not_count(record):
    run = record("seed=3", "hydra.run.dir=here", "hydra/launcher=joblib", "hydra.job.chdir=true")
    assert branched_arguments([f"branch.of={run}"]) == ["seed=3", f"branch.of={run}", "hydra.mode=RUN"]


def test_objects_on_record_need_trust(record):
    callbacks = "trainer.callbacks=[{_target_: evil.C}]"
    run = record("seed=3", callbacks)
    with pytest.raises(SettingError, match=r"^branch\.of: .*trunk was started with .*evil\.C.*trust=true"):
        branched_arguments([f"branch.of={run}"])
    assert callbacks in branched_arguments([f"branch.of={run}", "trust=true"])
    assert "trust=true" not in branched_arguments([f"branch.of={run}", "trust=true"])
    assert callbacks in branched_arguments([f"branch.of={run}", callbacks])
    with pytest.raises(SettingError, match="trust: 'odd'"):
        branched_arguments([f"branch.of={run}", "trust=odd"])


def test_a_branch_neither_prunes_nor_starts_as_its_trunk_did(record):
    run = record(
        "pruning.schedule=rigl", "pruning.density=0.1", "pruning.ticket=x", schedule="rigl", density=0.1, every=20,
        ticket="x",
    )  # fmt: skip
    composed = compose_config(branched_arguments([f"branch.of={run}"]))
    pruning = composed.pruning
    assert (pruning.schedule, pruning.density, pruning.every, pruning.ticket) == ("rounds", None, None, None)


@pytest.mark.parametrize("sweep", [False, True])
def test_a_branch_of_a_job_is_no_sweep_over_again(record, sweep):
    run = record("+experiment=study_pydocs", "pruning.rewind=init", "seed=2")
    flags, masks = (["-m"], "shuffle,random") if sweep else ([], "shuffle")
    given = branched_arguments([*flags, f"branch.of={run}", f"pruning.mask={masks}"])
    composed = compose_config([one for one in given if one != "-m" and "," not in one], with_hydra=True)
    assert (composed.pruning.rewind, composed.seed) == ("init", 2)
    if sweep:
        assert given[0] == "-m"
        assert composed.hydra.sweeper.params is None
    else:
        assert composed.hydra.mode.name == "RUN"


def test_a_sweep_of_branches_is_resumed_with_its_own_record(record, tmp_path):
    run = record("+experiment=study_pydocs", "pruning.rewind=init", "seed=2")
    given = branched_arguments(["-m", f"branch.of={run}", "pruning.mask=shuffle,random"])
    sweep = tmp_path / "sweep"
    of_hydra = [one for one in given if one.startswith("hydra.")]
    write_sweep(sweep, [one for one in given if one not in ("-m", *of_hydra)], of_hydra)
    (sweep / "multirun.yaml").touch()
    resumed = resumed_arguments([f"resume={sweep}"])
    assert branched_arguments(resumed) == resumed
    assert "hydra.sweeper.params=null" in resumed
    assert "pruning.mask=shuffle,random" in resumed


@pytest.mark.parametrize(
    ("of", "said"),
    [
        ("nowhere", "nowhere: no such folder; give a run directory"),
        (".", r"\. is no run directory, it has no run.json; give the one in it, trunk"),
        ("trunk,other", "trunk,other: give one run; of several, start a branch each"),
    ],
)
def test_what_is_no_run_is_refused(record, monkeypatch, of, said):
    monkeypatch.chdir(record("seed=1").parent)
    with pytest.raises(SettingError, match=rf"^branch\.of: {said}"):
        branched_arguments([f"branch.of={of}"])


def test_a_run_without_a_command_is_refused(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"format": 1}))
    with pytest.raises(SettingError, match="does not say what command started the run"):
        branched_arguments([f"branch.of={tmp_path}"])
