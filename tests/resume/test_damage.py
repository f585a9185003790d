"""A file that is damaged is named, and the run goes on from what is sound."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from cutting import EPOCHS, STEPS, Play, age
from filelock import FileLock
from omegaconf import OmegaConf

from lt_lightning.callbacks import PruningCallback
from lt_lightning.data.corpus import load_corpus
from lt_lightning.errors import SettingError
from lt_lightning.experiment.resume.command import resumed_arguments
from lt_lightning.experiment.resume.compare import check_same, describe_before, is_begun
from lt_lightning.experiment.resume.restore import resume_description, take_up
from lt_lightning.experiment.round_checkpoint import find_checkpoint, kept_checkpoints
from lt_lightning.lottery import Mask
from lt_lightning.runs.description import Description, write_content
from lt_lightning.runs.reading import read_run
from lt_lightning.runs.records import Record
from lt_lightning.runs.round_ticket import RoundTicket, write_rewind_weights
from lt_lightning.runs.rounds import PlayedRound, find_standing, ticket_path
from lt_lightning.storage.lock import STATE, hold
from trials.kills import SMALL, outcome


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("harm", [flip, cut_off, empty, Path.unlink], ids=["flipped", "cut", "emptied", "removed"])
@pytest.mark.parametrize(("name", "rounds_left"), [
    ("tickets/round_02.safetensors", 2), ("state/round_01.json", 1), ("state/rewind.safetensors", 0),
    ("results.csv", 3), ("layers.csv", 3), ("confusion.csv", 3),
])  # fmt: skip
def test_damage_is_noticed_and_named(whole, tmp_path, name, rounds_left, harm):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    harm(run / name)
    standing = find_standing(run)
    assert len(standing.rounds) == rounds_left
    assert len(standing.damages) == 1
    assert standing.damages[0].startswith(f"{run / name}: ")


@pytest.mark.parametrize("harm", [flip, cut_off, empty], ids=["flipped", "cut", "emptied"])
def test_an_old_ticket_may_be_missing_but_not_damaged(whole, tmp_path, harm):
    run = shutil.copytree(whole, tmp_path / "run")
    path = run / "tickets" / "round_00.safetensors"
    harm(path)
    standing = find_standing(run)
    assert len(standing.rounds) == 0
    assert [line.startswith(f"{path}: ") for line in standing.damages] == [True]
    path.unlink()
    standing = find_standing(run)
    assert (len(standing.rounds), standing.damages) == (3, ())


@pytest.mark.slow
@pytest.mark.parametrize("harmed", [("tickets/round_01.safetensors",), ("results.csv", "state/round_02.json")])
def test_a_damaged_run_goes_on_from_the_last_sound_round_to_what_it_was(whole, play, tmp_path, harmed):
    run = shutil.copytree(whole, tmp_path / "run")
    for name in harmed:
        flip(run / name)
    play(run, "pruning.rounds=1", resuming=True)
    assert len(find_standing(run).rounds) == 2  # nothing is left of what came after the damage
    play(run, resuming=True)
    assert outcome(run) == outcome(whole)
    assert find_standing(run).damages == ()


@pytest.mark.slow
@pytest.mark.parametrize("harm", [flip, cut_off, empty], ids=["flipped", "cut", "emptied"])
def test_a_damaged_checkpoint_is_named_and_its_round_played_from_the_beginning(
    whole: Path, play: Play, cut: Play, tmp_path: Path, steps: list[int], caplog: Any, harm: Callable[[Path], None]
) -> None:
    run = tmp_path / "run"
    cut(run, at=(EPOCHS + 1) * STEPS + 1)
    (kept,) = kept_checkpoints(run / "state")
    harm(kept)
    steps[:] = [0, sys.maxsize]
    play(run, resuming=True)
    assert steps[0] == 2 * EPOCHS * STEPS
    assert f"{kept}: cut off or changed since it was written" in caplog.text
    assert outcome(run) == outcome(whole)


@pytest.mark.slow
def test_checkpoints_hold_plain_values_alone(play: Play, tmp_path: Path, cut: Play) -> None:
    cut(tmp_path / "run", "early_stopping.patience=3", "test_on=best", at=2 * STEPS)
    (kept,) = kept_checkpoints(tmp_path / "run" / "state")
    assert torch.load(kept, weights_only=True)["epoch"] == 1


def test_a_ticket_of_another_run_is_no_ticket_of_this_one(whole: Path, play: Play, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    shutil.copy(run / "tickets/round_01.safetensors", run / "tickets/round_02.safetensors")
    assert "round_02.safetensors: sound, but not the file that the run wrote" in find_standing(run).damages[0]


@pytest.mark.slow
@pytest.mark.parametrize("harm", [flip, cut_off, empty, Path.unlink], ids=["flipped", "cut", "emptied", "removed"])
def test_without_run_json_a_run_goes_on_with_what_hydra_noted(whole, corpus, configure, tmp_path, harm):
    run = shutil.copytree(whole, tmp_path / "run")
    overrides = ["data=files", f"data.path={corpus}", *SMALL]
    (run / ".hydra").mkdir()
    OmegaConf.save(OmegaConf.create(overrides), run / ".hydra" / "overrides.yaml")
    OmegaConf.save(OmegaConf.structured(configure(*overrides)), run / ".hydra" / "config.yaml")
    text = (run / "run.json").read_text(encoding="utf-8")
    (run / "run.json").write_text(text.replace("{", "[", 1) if harm is flip else text, encoding="utf-8")
    if harm is not flip:
        harm(run / "run.json")
    assert resumed_arguments([f"resume={run}"])[: len(overrides)] == overrides
    _, damage = describe_before(run)
    assert damage is not None and damage.startswith(f"{run / 'run.json'}: ")
    assert is_begun(run)
    config = configure(*overrides)
    check_same(run, config, dict(load_corpus(config.data).fingerprints), find_standing(run))
    with pytest.raises(SettingError, match="seed was 0, not 7"):
        check_same(run, configure(*overrides, "seed=7"), {}, find_standing(run))


@pytest.mark.slow
def test_run_json_of_another_start_does_not_change_what_made_the_rounds(whole, corpus, configure, tmp_path):
    run = shutil.copytree(whole, tmp_path / "run")
    description = json.loads((run / "run.json").read_text())
    description["config"]["seed"] = 7
    description["corpus"]["fingerprint"]["test"] = "another"
    write_content(run, description)
    config = configure("data=files", f"data.path={corpus}", *SMALL, "seed=7")
    marks = dict(load_corpus(config.data).fingerprints)
    standing = find_standing(run)
    with pytest.raises(SettingError, match="seed was 0, not 7"):
        check_same(run, config, marks, standing)
    description["config"]["seed"] = 0
    write_content(run, description)
    config = configure("data=files", f"data.path={corpus}", *SMALL)
    with pytest.raises(SettingError, match=r"the corpus is not the one that the run began with \(test differs\)"):
        check_same(run, config, {**marks, "test": "another"}, standing)


@pytest.mark.slow
def test_an_older_run_without_seal_and_settings_of_rounds_is_gone_on_with(whole, play, tmp_path):
    run = shutil.copytree(whole, tmp_path / "run")
    assert [one.settings["config"]["seed"] for one in find_standing(run).rounds if one.settings] == [0] * 3
    age(run)
    standing = find_standing(run)
    assert (len(standing.rounds), standing.damages, describe_before(run)[1]) == (3, (), None)
    assert [one.settings for one in standing.rounds] == [None] * 3
    (run / "state" / "round_02.json").unlink()
    play(run, resuming=True)
    assert outcome(run) == outcome(whole)


def test_a_changed_run_json_is_named_and_not_gone_on_with(whole: Path, tmp_path: Path) -> None:
    run = shutil.copytree(whole, tmp_path / "run")
    text = (run / "run.json").read_text()
    (run / "run.json").write_text(text.replace('"seed": 0', '"seed": 4', 1))
    said = f"{run / 'run.json'}: changed since it was written: its checksum does not fit; restore it from a copy"
    with pytest.raises(SettingError) as error:
        describe_before(run)
    assert str(error.value) == said
    assert read_run(run).damages == (said,)


def _resumed(before: dict[str, Any], current: dict[str, Any]) -> tuple[Any, list[str]]:
    return resume_description(Description.from_json(before), Description.from_json(current))


def test_what_is_not_as_it_was_is_said_in_a_line_and_put_on_record() -> None:
    now = {"processes": 1, "versions": {"torch": "2.13.0", "numpy": "2.4"}, "device": "cpu (2 threads)"}
    same, none = _resumed(now, now)
    assert (same.resumed[0].changes, none) == ({}, [])
    other = {**now, "versions": {"torch": "2.12.0", "numpy": "2.4"}, "device": "cpu (1 threads)", "started": "then"}
    description, (remark,) = _resumed(other, now)
    assert remark == (
        "resume: torch was 2.12.0, is 2.13.0; device was cpu (1 threads), is cpu (2 threads): numbers may differ from "
        "those of a run that was not interrupted"
    )
    assert description.resumed[0].changes["torch"] == ["2.12.0", "2.13.0"]
    assert (description.versions, description.started) == (other["versions"], "then")
    again, _ = resume_description(description, Description.from_json(now))
    assert len(again.resumed) == 2
    cpu = {"model": "A", "type": "skylake", "features": ["avx2", "avx512f"]}
    elsewhere, (remark,) = _resumed({**now, "cpu": cpu}, {**now, "cpu": {**cpu, "features": ["avx2"]}})
    assert remark == (
        "resume: cpu was A (skylake) with avx512f, is A (skylake): numbers may differ from those of a run that was not "
        "interrupted"
    )
    assert elsewhere.cpu == cpu  # of the rounds that are over
    assert _resumed(now, {**now, "cpu": cpu})[1] == []  # not known of an older run
    assert "are unknown" in _resumed({}, now)[1][0]
    with pytest.raises(SettingError, match=r"trainer\.devices: the run was shared by 2 processes, now 1 "):
        _resumed({**now, "processes": 2}, now)


def test_what_a_killed_process_had_begun_to_write_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "tickets").mkdir()
    (tmp_path / "tickets" / ".round_00.safetensors.4711.tmp").write_bytes(b"half")
    (tmp_path / "notes.tmp").write_bytes(b"somebody's")
    with hold(tmp_path):
        assert not list((tmp_path / "tickets").iterdir())
        assert (tmp_path / "notes.tmp").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "left", ["run.json", "results.csv", "state/round_00_epoch_001_x.ckpt", "tickets/round_00.safetensors"]
)
def test_whatever_is_left_of_a_run_no_other_is_put_over_it(play: Play, tmp_path: Path, left: str) -> None:
    (tmp_path / "run" / left).parent.mkdir(parents=True)
    (tmp_path / "run" / left).touch()
    with pytest.raises(SettingError, match="holds a run already; continue it with resume="):
        play(tmp_path / "run")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [Path(left).name]


@pytest.mark.slow
def test_rounds_that_are_played_again_are_set_aside_not_thrown_away(whole: Path, play: Play, tmp_path: Path) -> None:
    run = shutil.copytree(whole, tmp_path / "run")
    flip(run / "tickets" / "round_00.safetensors")
    play(run, resuming=True)
    (aside,) = (run / "state").glob("before_*")
    kept = {path.name: path.read_bytes() for path in aside.iterdir()}
    assert {name for name in kept if name.endswith(".json")} == {f"round_{number:02}.json" for number in range(3)}
    assert kept["results.csv"] == (whole / "results.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(("setting", "base", "chosen"), [
    ("trainer.callbacks", "pytorch_lightning.Callback", ["trainer.callbacks=[{_target_: odd.Odd}]"]),
    (
        "scheduler",
        "torch.optim.lr_scheduler.ExponentialLR",
        ["scheduler=custom", "scheduler._target_=odd.Odd", "+scheduler.gamma=0.5"],
    ),
])  # fmt: skip
def test_an_object_whose_state_could_not_be_read_back_is_refused_at_once(play, tmp_path, setting, base, chosen):
    (tmp_path / "odd.py").write_text(
        f"from datetime import timedelta\nimport pytorch_lightning, torch\n\nclass Odd({base}):\n"
        "    def state_dict(self):\n        return {'since': timedelta(1)}\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        patch.delitem(sys.modules, "odd", raising=False)
        with pytest.raises(SettingError, match=rf"^{setting}: its state holds datetime\.timedelta; only plain values"):
            play(tmp_path / "run", *chosen)


def test_pipes_among_a_run_s_files_are_damage_and_hold_nothing_up(tmp_path: Path) -> None:
    (tmp_path / STATE).mkdir()
    for name in (f"round_00_epoch_001_{'0' * 64}.ckpt", "round_00.json", "holder.json"):
        os.mkfifo(tmp_path / STATE / name)
    os.mkfifo(tmp_path / "results.csv")
    path, _, damages = find_checkpoint(tmp_path / STATE, 0)
    assert path is None
    assert [damage.partition(": ")[2] for damage in damages] == [
        "cannot be read (it is a pipe or a device, not a file)"
    ]
    assert not find_standing(tmp_path).rounds
    with (
        FileLock(tmp_path / STATE / "lock"),
        pytest.raises(SettingError, match="in use by another process"),
        hold(tmp_path),
    ):
        pass


@pytest.mark.parametrize("wrong", [{"weight": torch.zeros(3)}, {"other": torch.zeros(1)}])
def test_a_ticket_or_rewind_weights_of_another_network_are_refused(tmp_path, wrong):
    network = torch.nn.Linear(2, 1)
    weights = {name: torch.zeros_like(weight) for name, weight in network.state_dict().items()}
    record = Record(0, 0.0, 3, 3, 1, *[0.5] * 6)
    played = [PlayedRound((record,), (), (), (), (), ticket="", rewind="")]
    RoundTicket(weights | wrong, Mask({}), {}, "{}").save(ticket_path(tmp_path, 0))
    (tmp_path / STATE).mkdir()
    with pytest.raises(SettingError, match=r"round_00\.safetensors: the weights of another network"):
        take_up(tmp_path, played, network, PruningCallback())
    RoundTicket(weights, Mask.ones({"weight": weights["weight"]}), {}, "{}").save(ticket_path(tmp_path, 0))
    write_rewind_weights(tmp_path, {"weight": torch.zeros(4)})
    with pytest.raises(SettingError, match=r"rewind\.safetensors: the weights of another network"):
        take_up(tmp_path, played, network, PruningCallback())
    write_rewind_weights(tmp_path, weights)
    take_up(tmp_path, played, network, PruningCallback())


def test_a_lock_is_not_opened_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / STATE).mkdir()
    (tmp_path / STATE / "lock").symlink_to(tmp_path / "theirs")
    with pytest.raises(SettingError, match="symbolic links"), hold(tmp_path):
        pass
    assert (tmp_path / "theirs").read_text() == "theirs"
