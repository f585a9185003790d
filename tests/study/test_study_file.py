"""The file of a study, and the runs that it stands for."""

from pathlib import Path

import pytest

from lt_lightning.config.folder import config_folder
from lt_lightning.errors import SettingError
from lt_lightning.runs.description import Description, write_description
from lt_lightning.study.file import find_file, read_study
from lt_lightning.study.jobs import jobs_of, require_same_settings

SMALL = """
question: Is the mask what matters?
densities: [0.5, 0.25]
seeds: 2
lengths: [1, 3]
corpora:
  own: {set: [data=files, early_stopping.patience=2], epochs: 2, seeds: [4, 7, 9]}
  pydocs: {set: [+experiment=quickstart], epochs: 3, lengths: [1], densities: {rounds: 3, amount: 0.2}}
arms:
  shuffled: {of: init, set: [pruning.mask=shuffle]}
  init: {set: [pruning.rewind=init]}
  dense: {dense: true}
claims:
  - {claim: The mask matters., first: init, second: shuffled}
"""


def study_of(folder: Path, text: str):
    path = folder / "small.yaml"
    path.write_text(text)
    return read_study(path)


def test_each_corpus_has_a_run_per_length_arm_and_seed(tmp_path):
    study = study_of(tmp_path, SMALL)
    jobs = jobs_of(study, ["trainer.accelerator=cpu"], {"own": "/some where"})
    assert len(jobs) == len({job.folder for job in jobs}) == 3 * 3 * 2 + 2 * 3
    assert [job.seed for job in jobs] == sorted((job.seed for job in jobs), key=[4, 7, 9, 0, 1].index)
    by_folder = {job.folder: job for job in jobs}
    assert by_folder["own/x3/init/seed_7"].settings == (
        "early_stopping.patience=2", "data=files", "trainer.max_epochs=6", "pruning.rounds=2",
        "pruning.amount=[0.5,0.5]", "pruning.rewind=init", "trainer.accelerator=cpu", "data.path='/some where'",
        "name=small", "seed=7", "report=false",
    )  # fmt: skip
    assert by_folder["pydocs/x1/init/seed_1"].settings[3:5] == ("pruning.rounds=3", "pruning.amount=[0.2,0.2,0.2]")


def test_a_branch_comes_behind_its_trunk_and_has_no_settings_of_pruning(tmp_path):
    jobs = jobs_of(study_of(tmp_path, SMALL))
    branch = next(job for job in jobs if job.folder == "own/x1/shuffled/seed_9")
    assert branch.trunk == "own/x1/init/seed_9"
    assert branch.settings == ("pruning.mask=shuffle", "name=small", "seed=9", "report=false")
    places = [job.folder for job in jobs]
    assert all(places.index(job.trunk) < places.index(job.folder) for job in jobs if job.trunk)


def test_a_dense_arm_trains_once_for_the_epochs_of_all_rounds(tmp_path):
    jobs = {job.folder: job for job in jobs_of(study_of(tmp_path, SMALL))}
    dense, init, shuffled = (jobs[f"own/x3/{arm}/seed_4"] for arm in ("dense", "init", "shuffled"))
    assert (dense.rounds, dense.epochs) == (1, 18)
    assert (init.rounds, init.epochs, init.work) == (3, 6, dense.work)
    assert (shuffled.rounds, shuffled.work) == (2, 12)
    assert {"pruning.rounds=0", "trainer.max_epochs=18"} <= {*dense.settings}


STEPS = SMALL.replace(
    "  init: {set",
    "  slow: {steps: 2}\n  slow_shuffled: {of: slow, set: [pruning.mask=shuffle]}\n  init: {set",
)


def test_an_arm_of_smaller_steps_passes_every_density_of_the_others(tmp_path):
    study = study_of(tmp_path, STEPS)
    jobs = {job.folder: job for job in jobs_of(study)}
    slow, branch, dense = (jobs[f"own/x1/{arm}/seed_4"] for arm in ("slow", "slow_shuffled", "dense"))
    assert (slow.rounds, slow.work, branch.rounds, dense.work) == (5, 10, 4, 6)
    assert {"pruning.rounds=4", "pruning.amount=[0.292893,0.292893,0.292893,0.292893]"} <= {*slow.settings}
    assert study.densities("own", "slow_shuffled") == pytest.approx((0.5**0.5, 0.5, 0.5**1.5, 0.25), rel=1e-12)
    assert study.densities("own", "slow")[1::2] == study.densities("own", "init") == (0.5, 0.25)


def test_a_corpus_can_have_some_of_the_arms(tmp_path):
    study = study_of(tmp_path, SMALL.replace("seeds: [4, 7, 9]", "seeds: [4, 7, 9], arms: [dense, init]"))
    arms = {corpus: {job.arm for job in jobs_of(study) if job.corpus == corpus} for corpus in study.corpora}
    assert arms == {"own": {"dense", "init"}, "pydocs": {"dense", "init", "shuffled"}}


def test_densities_of_equal_rounds_are_powers(tmp_path):
    corpus = study_of(tmp_path, SMALL).corpora["pydocs"]
    assert corpus.densities == pytest.approx((0.8, 0.64, 0.512))
    assert corpus.amounts_in(1) == [0.2] * 3
    assert [corpus.round_at(one) for one in (0.8, 0.51, 0.6)] == [1, 3, None]


@pytest.mark.parametrize("name", [path.stem for path in Path(config_folder(), "study").glob("*.yaml")])
def test_the_arms_and_corpora_of_the_studies_that_come_with_the_package_can_be_composed(name, configure):
    study = read_study(find_file(name))
    corpora, arms = list(study.corpora), [arm for arm, one in study.arms.items() if one.of is None]
    chosen = {*((corpora[0], arm) for arm in arms), *((corpus, arms[0]) for corpus in corpora)}
    for job in jobs_of(study, data={"agnews": "x", "imdb": "x"}):
        if job.seed == 0 and job.length == 1 and (job.corpus, job.arm) in chosen:
            config = configure(*job.settings)
            assert config.trainer.max_epochs == job.epochs
            pruned = 0 if study.arms[job.arm].dense else len(study.densities(job.corpus, job.arm))
            assert config.pruning.rounds == pruned


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("question:", "quest:", "quest: there is no such key; did you mean question?"),
        ("seeds: 2", "seeds: two", "seeds: two is neither a number of seeds nor a list of them, such as [0, 1, 2]"),
        ("[4, 7, 9]", "[4, 4]", "corpora.own.seeds: [4, 4] has a seed twice; give each once"),
        ("epochs: 2", "epochs: 0", "corpora.own.epochs: [0] must be whole numbers >= 1, each once"),
        ("epochs: 2,", "", "corpora.own.epochs: missing; give a value"),
        (
            "[0.5, 0.25]",
            "[0.25, 0.5]",
            "densities: [0.25, 0.5] are no shares that fall from below 1 to above 0; give such as [0.5, 0.25] or "
            "{rounds: 20, amount: 0.2}",
        ),
        ("of: init", "of: int", "arms.shuffled.of: there is no arm 'int'; choose from shuffled, init, dense"),
        ("of: init", "of: dense", "arms.shuffled.of: dense has no tickets of its own; choose an arm that prunes"),
        ("seeds: [4, 7, 9]", "arms: [shuffled]", "corpora.own.arms: shuffled retrains the tickets of init; add init"),
        ("seeds: [4, 7, 9]", "arms: [int]", "corpora.own.arms: there is no arm 'int'; choose from shuffled, init, "
         "dense"),
        ("dense: true", "dense: true, steps: 2", "arms.dense.steps: must be a number >= 1 for an arm that prunes, got "
         "2; leave it out for others"),
        ("second: shuffled", "second: random", "claims[0].second: there is no arm 'random'; choose from shuffled, "
         "init, dense, full"),
        ("second: shuffled", "second: full", "claims[0].densities: missing: the whole network has one density; choose "
         "some of the study's for init"),
        ("second: shuffled", "second: shuffled, densities: [0.3]", "claims[0].densities: no corpus has a round that "
         "leaves 30 %; choose among those of the study"),
        ("second: shuffled", "second: shuffled, kind: best", "claims[0].kind: 'best' is none of better, as_good"),
        ("  own:", "  a/b:", "corpora.a/b: a folder has this name; take letters, digits, ., _ and -, and not 'full'"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_is_one_line_that_names_the_key(tmp_path, old, new, message):
    assert old in SMALL
    with pytest.raises(SettingError) as refused:
        study_of(tmp_path, SMALL.replace(old, new, 1))
    assert str(refused.value) == f"{tmp_path / 'small.yaml'}: {message}"


def test_a_name_that_is_mistyped_names_the_nearest_study(tmp_path, monkeypatch):
    with pytest.raises(SettingError, match=r"there is no study 'colapse'; did you mean collapse\? choose from "):
        find_file("colapse")
    with pytest.raises(SettingError, match=r"nothing\.yaml: no such file"):
        find_file(str(tmp_path / "nothing.yaml"))
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "conf" / "study" / "collapse.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(SMALL)
    assert read_study(find_file("collapse")).question == "Is the mask what matters?"


def test_a_run_that_was_made_with_other_settings_is_named_and_not_counted(tmp_path):
    jobs = jobs_of(study_of(tmp_path, SMALL))
    trunk = next(job for job in jobs if job.folder == "own/x1/init/seed_4")
    branch = next(job for job in jobs if job.folder == "own/x1/shuffled/seed_4")
    both = ((trunk, trunk.settings), (branch, (*trunk.settings[:-3], *branch.settings, "branch.of=x")))
    for job, settings in both:
        (tmp_path / job.folder).mkdir(parents=True)
        write_description(tmp_path / job.folder, Description(command=(*settings, "resume=auto"), finished="now"))
    require_same_settings(jobs, tmp_path)
    moved = jobs_of(study_of(tmp_path, SMALL), data={"own": "/elsewhere"})
    require_same_settings(moved, tmp_path)
    for old, new, at in (
        ("[pruning.mask=shuffle]", "[pruning.mask=random]", branch),
        ("[pruning.mask=shuffle]", "[]", branch),
        ("[pruning.rewind=init]", "[pruning.rewind=last]", trunk),
        ("[data=files, ", "[data=files, optimizer.lr=0.1, ", trunk),
    ):
        with pytest.raises(SettingError) as refused:
            require_same_settings(jobs_of(study_of(tmp_path, SMALL.replace(old, new))), tmp_path)
        assert str(refused.value).startswith(f"{tmp_path / at.folder}: was run with ")
        assert (new.strip("[], ").removeprefix("data=files, ") or "no pruning.mask") in str(refused.value)


@pytest.mark.parametrize("setting", ["pruning.mask=random", "seed=7", "trainer.max_epochs=1", "++pruning.rounds=3"])
def test_a_setting_that_the_study_sets_itself_is_refused_on_the_command_line(tmp_path, setting):
    key = setting.lstrip("+").partition("=")[0]
    with pytest.raises(SettingError) as refused:
        jobs_of(study_of(tmp_path, SMALL), [setting])
    assert str(refused.value) == f"{key}: the study sets it for each run; change the study's file instead"
