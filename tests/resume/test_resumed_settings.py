"""What may change from one part of a run to the next, and what must not."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cutting import Play, age
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

from lt_lightning.config.folder import config_folder
from lt_lightning.config.schema import register_schema
from lt_lightning.errors import SettingError
from lt_lightning.experiment.folders import release
from lt_lightning.experiment.resume.command import earlier_defaults, resumed_arguments, write_sweep
from lt_lightning.experiment.resume.restore import resume_description
from lt_lightning.experiment.start_check import CheckConfig
from lt_lightning.runs.description import Description, Vocabulary


@pytest.mark.slow
def test_settings_that_matter_are_refused_each_by_name(whole, check):
    def refused(*overrides: str) -> str:
        with pytest.raises(SettingError) as error:
            check(whole, *overrides)
        return str(error.value)

    said = refused("optimizer.lr=0.5", "seed=3", "pruning.exclude=[fc.*]")
    assert said.startswith(f"resume: {whole}: seed was 0, not 3; optimizer.lr was 0.02, not 0.5; pruning.exclude was ")
    assert "pruning.rounds: 1 is less than the 2 rounds that" in refused("pruning.rounds=1")
    assert "scheduler.name was none, not cosine; scheduler.warmup was null, not 0.0" in refused("scheduler=cosine")
    assert "data.limit was null, not 50" in refused("data.limit=50")
    assert "pruning.criterion was magnitude, not my.f" in refused("pruning.criterion=my.f")


def smallest_first(parameters):
    return {name: parameter.detach().abs() for name, parameter in parameters.items()}


@pytest.mark.slow
def test_a_run_records_the_path_of_its_criterion_and_is_resumed_with_it(play: Play, tmp_path: Path) -> None:
    chosen, common = f"pruning.criterion={__name__}.smallest_first", ("trainer.max_epochs=1", "seed=4")
    play(tmp_path / "one", "pruning.rounds=2", *common)
    play(tmp_path / "other", "pruning.rounds=1", *common, chosen)
    play(tmp_path / "other", "pruning.rounds=2", *common, chosen, resuming=True)
    described = json.loads((tmp_path / "other" / "run.json").read_text(encoding="utf-8"))
    assert described["config"]["pruning"]["criterion"] == f"{__name__}.smallest_first"
    one, other = ((tmp_path / name / "layers.csv").read_bytes() for name in ("one", "other"))
    assert one == other


@pytest.mark.slow
def test_a_run_that_is_older_than_a_setting_goes_on_with_what_it_did(whole, check, tmp_path):
    run = shutil.copytree(whole, tmp_path / "run")
    age(run)
    for name in ("run.json", ".hydra/config.yaml"):
        if (run / name).exists():
            (run / name).write_text(re.sub(r'(,\s*)?"kernel": "fast"', "", (run / name).read_text()))
    assert "kernel" not in (run / "run.json").read_text()
    check(run, "model.kernel=reference", "optimizer.kernel=reference")
    with pytest.raises(SettingError, match=r"model\.kernel was reference, not fast; optimizer\.kernel was reference"):
        check(run)


def test_settings_that_change_no_number_may_change(whole, corpus, check, tmp_path):
    moved = shutil.copytree(corpus, tmp_path / "moved")
    check(whole, "data.num_workers=1", "trainer.log_every_n_steps=3", "pruning.rounds=9", path=moved)
    check(whole, "trainer.profiler=simple", "trainer.devices=[1]")
    with pytest.raises(SettingError, match=r"trainer\.accelerator was cpu, not gpu; trainer\.devices was 1, not 2: "):
        check(whole, "trainer.accelerator=gpu", "trainer.devices=2")


def test_another_corpus_is_refused(whole, corpus, check, tmp_path):
    other = shutil.copytree(corpus, tmp_path / "other")
    with (other / "test.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"text": "one more cat", "label": "animals"}\n')
    with pytest.raises(SettingError, match=r"the corpus is not the one that the run began with \(test differs\)"):
        check(whole, path=other)


def test_rounds_without_a_record_are_never_overwritten(whole, check, tmp_path):
    run = shutil.copytree(whole, tmp_path / "run")
    shutil.rmtree(run / "state")
    with pytest.raises(SettingError, match="no record of them in its folder state"):
        check(run)


@pytest.mark.slow
def test_a_resumed_command_is_that_of_then_and_what_is_said_now(whole: Path, play: Play, tmp_path: Path) -> None:
    run = play(tmp_path / "a run, 'quoted'", "pruning.rounds=0", "trainer.max_epochs=1", "seed=4")
    merged = resumed_arguments([f"resume={run}", "pruning.rounds=2"])
    assert merged[:3] == ["pruning.rounds=2", "trainer.max_epochs=1", "seed=4"]
    read = {override.key_or_group: override.value() for override in OverridesParser.create().parse_overrides(merged)}
    assert read["hydra.run.dir"] == read["resume"] == str(run)
    assert resumed_arguments(["seed=1", "-m"]) == ["seed=1", "-m"]


@pytest.mark.parametrize("name", ["a b", "it's", "a\\b", "a\\'b\\", "x=1,y=[2]", "(5%)#~", "ünï"])
def test_a_run_directory_may_have_any_name(tmp_path: Path, name: str) -> None:
    run = tmp_path / name
    (run / ".hydra").mkdir(parents=True)
    (run / ".hydra/overrides.yaml").write_text("- seed=1\n")
    (run / ".hydra/config.yaml").write_text("seed: 1\n")
    read = OverridesParser.create().parse_overrides(resumed_arguments([f"resume={run}"]))
    assert {one.key_or_group: one.value() for one in read}["hydra.run.dir"] == str(run)


def test_settings_keep_their_places_and_flags_come_first(tmp_path: Path) -> None:
    write_sweep(tmp_path, ["seed=0,1", "pruning.rounds=2", "pruning.rewind=init,last"], ["hydra/launcher=basic"])
    merged = resumed_arguments(["--config-dir", "conf", f"resume={tmp_path}", "pruning.rounds=4"])
    assert merged[:6] == [
        "--config-dir", "conf", "seed=0,1", "pruning.rounds=4", "pruning.rewind=init,last", "hydra/launcher=basic",
    ]  # fmt: skip
    with pytest.raises(SettingError, match=r"seed: the sweep .* resumes with the settings that it began with"):
        resumed_arguments([f"resume={tmp_path}", "seed=0,1,2"])
    with pytest.raises(SettingError, match=r"pruning\.rounds: the sweep .* resumes with the jobs that it began with"):
        resumed_arguments([f"resume={tmp_path}", "pruning.rounds=4,5"])
    write_sweep(tmp_path, ["pruning.rounds=1,2"], [])
    with pytest.raises(SettingError, match=r"pruning\.rounds: the sweep .* resumes with the jobs that it began with"):
        resumed_arguments([f"resume={tmp_path}", "pruning.rounds=3"])
    assert resumed_arguments([f"resume={tmp_path}", "pruning.rounds=1,2"])[0] == "pruning.rounds=1,2"


@pytest.mark.parametrize("moment", ["on_multirun_start", "on_multirun_end"])
def test_what_differs_from_job_to_job_is_not_filled_in_for_all(tmp_path: Path, moment: str) -> None:
    swept = ["seed=0,1", "pruning.ticket=tickets/${seed}.safetensors", "name=s_${seed}"]
    sweep = tmp_path / "sweep"
    if moment == "on_multirun_end":
        write_sweep(sweep, swept, [])
    register_schema()
    with initialize_config_dir(config_folder(), version_base="1.3"):
        config = compose("config", [f"hydra.sweep.dir={sweep}", "seed=0", *swept[1:]], return_hydra_config=True)
    config.hydra.overrides.task = swept
    config.resume = str(sweep) if moment == "on_multirun_end" else None
    getattr(CheckConfig(), moment)(config=config)
    release(failed=False)
    assert resumed_arguments([f"resume={sweep}"])[:3] == swept


def test_other_word_vectors_are_refused_wherever_they_lie() -> None:
    now = Description.from_json({"processes": 1, "versions": {}, "device": "cpu", "vocabulary": {"vectors": "one"}})
    resume_description(now, now)
    with pytest.raises(SettingError, match=r"embedding\.path: the vectors are not those that the run began with"):
        resume_description(replace(now, vocabulary=Vocabulary(vectors="another")), now)


@pytest.mark.slow
def test_a_run_says_which_vectors_it_began_with(play: Play, tmp_path: Path) -> None:
    digests = []
    for number in (1, 2):
        (tmp_path / f"{number}.txt").write_text(f"cat {number} 0 0 0 0 0\ndog 1 1 1 1 1 1\n")
        run = play(
            tmp_path / f"run_{number}", "embedding=glove", f"embedding.path={tmp_path / f'{number}.txt'}",
            "embedding.dim=6", "pruning.rounds=0", "trainer.max_epochs=1",
        )  # fmt: skip
        digests.append(json.loads((run / "run.json").read_text())["vocabulary"]["vectors"])
    assert len(digests[0]) == 64
    assert digests[0] != digests[1]


OLDER = {"data": {"name": "files", "path": "corpus"}, "model": {"name": "multi_cnn"}, "embedding": {"std": 1.0}}
NEWER = {**OLDER, "data": {**OLDER["data"], "test_fraction": 0.2}}


@pytest.mark.parametrize(("command", "configs", "added"), [
    (["data=files"], [OLDER], ["model=multi_cnn", "embedding.std=1.0"]),
    (["data=files"], [OLDER, OLDER], ["model=multi_cnn", "embedding.std=1.0"]), (["data=files"], [NEWER], []),
    (["data=files"], [], []), (["data=files", "model=multi_cnn"], [OLDER], ["embedding.std=1.0"]),
    (["data=files", "embedding.std=0.5"], [{**OLDER, "embedding": {"std": 0.5}}], ["model=multi_cnn"]),
    (["+experiment=names", "data=files"], [{**OLDER, "model": {"name": "birnn"}}], ["embedding.std=1.0"]),
    (["data=files", "embedding.std=1,2"], [OLDER, {**OLDER, "embedding": {"std": 2.0}}], ["model=multi_cnn"]),
    (["data=agnews"], [{**OLDER, "data": {"name": "AG News"}}], []),
    (["+experiment=quickstart"], [{"data": {"name": "PyDocs", "test_fraction": 0.2}}], ["data.group_column=null"]),
    (["data=names"], [{"data": {"name": "PyDocs names"}}], ["data.group_column=null"]),
    ([], [{"data": {"name": "PyDocs", "group_column": "group"}}], []),
    (["data.path=corpus"], [{"data": {"name": "PyDocs", "path": "corpus"}}], []),
])  # fmt: skip
def test_defaults_of_then_are_spelled_out(command: list[str], configs: list[dict[str, Any]], added: list[str]) -> None:
    assert earlier_defaults(command, configs) == added


def test_a_resumed_command_has_them_unless_it_says_otherwise(tmp_path: Path) -> None:
    description = {"command": ["data=files", "data.path=corpus"], "config": OLDER}
    (tmp_path / "run.json").write_text(json.dumps(description))
    arguments = resumed_arguments([f"resume={tmp_path}"])
    assert arguments[:4] == ["model=multi_cnn", "embedding.std=1.0", "data=files", "data.path=corpus"]
    assert resumed_arguments([f"resume={tmp_path}", "embedding.std=2"])[:2] == ["model=multi_cnn", "embedding.std=2"]


def test_a_resumed_sweep_has_them(tmp_path: Path) -> None:
    (tmp_path / "sweep.json").write_text(json.dumps({"task": ["data=files", "seed=0,1"], "hydra": []}))
    (tmp_path / "0").mkdir()
    (tmp_path / "0/run.json").write_text(json.dumps({"command": ["data=files", "seed=0"], "config": OLDER}))
    assert resumed_arguments([f"resume={tmp_path}"])[:3] == ["model=multi_cnn", "embedding.std=1.0", "data=files"]
