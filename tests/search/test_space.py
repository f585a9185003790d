"""The settings that a search varies, and the trials that samplers draw of them."""

import itertools
import json
import math
import os
import subprocess
import sys

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from lt_lightning.errors import SettingError
from lt_lightning.search.samplers import SAMPLERS, grid_size, make_sampler
from lt_lightning.search.space import Choices, Interval, Space, Steps, read_space
from lt_lightning.search.storage import JOURNAL, open_storage, shown_storage
from lt_lightning.search.study import StudyPlace, draw, open_study, place_of

optuna = pytest.importorskip("optuna", reason="needs the extra [optuna]")


PARSER = OverridesParser.create()


def space(*arguments: str, **params: object) -> Space:
    return read_space(params, arguments, PARSER)


@pytest.mark.parametrize(("typed", "dimension"), [
    ("x=interval(1e-4,1e-2)", Interval("x", 1e-4, 1e-2, False)),
    ("+x=tag(log,interval(1e-4,1e-2))", Interval("+x", 1e-4, 1e-2, True)),
    ("x=int(interval(1,8))", Interval("x", 1, 8, False)),
    ("x=int(tag(log,interval(8,64)))", Interval("x", 8, 64, True)),
    ("x=tag(int,interval(1,8))", Interval("x", 1, 8, False)),
    ("x=range(1,5)", Steps("x", 1, 4, 1)),  # its end left out, as with Hydra's other sweeper
    ("x=range(1,9,3)", Steps("x", 1, 7, 3)),
    ("x=range(0.1,0.5,0.1)", Steps("x", 0.1, 0.4, 0.1)),
    ("x=tag(log,range(1,9))", Interval("x", 1, 8, True)),
    ("x=range(3,4)", Choices("x", ("3",))),
    ("x=choice(a,'b c',[1,2])", Choices("x", ("a", r"b\ c", "[1,2]"))),
    ("x=init,last", Choices("x", ("init", "last"))),
    ("x=shuffle(range(1,4))", Choices("x", ("1", "2", "3"))),
])  # fmt: skip
def test_hydras_sweeps_are_dimensions(typed, dimension) -> None:
    found = space(typed).dimensions[0]
    if isinstance(dimension, Choices) and "shuffle" in typed:
        assert sorted(found.options) == list(dimension.options)
    else:
        assert found == dimension


def test_the_command_line_takes_precedence_over_the_file_whose_gaps_it_fills() -> None:
    params = {"optimizer": {"lr": "interval(0.1,1)"}, "pruning.amount": "???", "seed": 3, "model.dropout": "0.1,0.2"}
    found = read_space(params, ["seed=4", "pruning.amount=range(0.2,0.5,0.1)", "data=imdb"], PARSER)
    assert [one.key for one in found.dimensions] == ["optimizer.lr", "model.dropout", "pruning.amount"]
    assert found.fixed == ("seed=4", "data=imdb")
    values = {"optimizer.lr": 1e-05, "model.dropout": "0.2", "pruning.amount": 0.2}
    assert found.overrides(values) == [
        "seed=4", "data=imdb", "optimizer.lr=1e-05", "model.dropout=0.2", "pruning.amount=0.2"
    ]  # fmt: skip
    parsed = PARSER.parse_overrides(found.overrides(values))
    assert parsed[2].value() == 1e-05


@pytest.mark.parametrize(("arguments", "params", "said"), [
    (["seed=1"], {}, "hydra/sweeper: optuna has no setting to vary; give KEY=interval"),
    (["seed=1"], {"x": "???"}, "hydra.sweeper.params: x has no value; give x=interval"),
    ([], {"x": "interval(1"}, r"hydra.sweeper.params: cannot read x=interval\(1 "),
    (["x=interval(2,1)"], {}, r"x: interval\(2.0,1.0\) is empty"),
    (["x=tag(log,interval(0,1))"], {}, "x: 0.0 has no logarithm"),
    (["x=tag(square,interval(0,1))"], {}, "x: there is no tag 'square'"),
    (["x=tag(log,choice(1,2))"], {}, "x: a choice has no order"),
    (["x=range(4,4)"], {}, "x: there is no value to choose from"),
])  # fmt: skip
def test_spaces_that_are_refused(arguments, params, said) -> None:
    with pytest.raises(SettingError, match=said) as refused:
        read_space(params, arguments, PARSER)
    assert "\n" not in str(refused.value)


SPACE = space("lr=tag(log,interval(1e-4,1e-1))", "n=range(1,5)", "c=choice(a,b)")
DISCRETE = space("n=range(1,9)", "c=choice(a,b)")


@pytest.mark.parametrize("name", [one for one in SAMPLERS if one not in ("cmaes", "gp")])
def test_a_search_that_is_taken_up_draws_what_it_would_have_drawn(name, tmp_path) -> None:
    def search(folder: str, numbers: range) -> list[dict[str, object]]:
        (tmp_path / folder).mkdir(exist_ok=True)
        study, _ = open_study(StudyPlace(str(tmp_path / folder / JOURNAL), "s"), "minimize", {"name": "s"})
        varied = DISCRETE if name == "grid" else SPACE
        for number in numbers:
            draw(study, make_sampler(name, {}, 0, number, varied), varied.dimensions, {"sweep": "1"})
            drawn = study.trials[number]
            assert (drawn.state.name, drawn.user_attrs) == ("RUNNING", {"sweep": "1"})
            study.tell(number, drawn.params.get("lr", 1) * drawn.params["n"])
        return [one.params for one in study.trials]

    whole = search("whole", range(14))
    for first, end in itertools.pairwise((0, 3, 11, 14)):
        if first:
            with (tmp_path / "cut" / JOURNAL).open("ab") as journal:
                journal.write(b'{"op_code": 5, "wor')  # by a process that was killed
        cut = search("cut", range(first, end))
    assert cut == whole
    assert len({str(one) for one in whole}) > 5


def test_a_sampler_that_needs_a_package_of_its_own() -> None:
    pytest.importorskip("cmaes", reason="needs cmaes")
    study = optuna.create_study()
    for number in range(12):
        draw(study, make_sampler("cmaes", {}, 0, number, SPACE), SPACE.dimensions, {})
        study.tell(number, study.trials[number].params["lr"])
    assert min(one.params["lr"] for one in study.trials) < 3e-4


def test_a_grid_has_each_point_once() -> None:
    small = space("n=range(1,4)", "c=choice(a,b)", "i=int(interval(2,3))")
    study = optuna.create_study()
    study.enqueue_trial({"n": 9})  # never run, but has a number
    for number in range(grid_size(small)):
        draw(study, make_sampler("grid", {}, 0, number, small), small.dimensions, {})
    found = {tuple(one.params[name] for name in "nci") for one in study.trials[1:]}
    assert found == set(itertools.product((1, 2, 3), "ab", (2, 3)))
    with pytest.raises(SettingError, match="grid tries all values, and lr=log interval"):
        grid_size(SPACE)


@pytest.mark.parametrize(("name", "options", "said"), [
    ("anneal", {}, "hydra.sweeper.sampler: 'anneal' is none of tpe, random, grid, cmaes, gp"),
    ("tpe", {"startup": 3}, "hydra.sweeper.sampler_options: TPESampler refuses them .*startup"),
    ("grid", {"startup": 3}, "hydra.sweeper.sampler_options: grid reads no startup"),
])  # fmt: skip
def test_samplers_that_are_refused(name, options, said) -> None:
    with pytest.raises(SettingError, match=said):
        make_sampler(name, options, 0, 0, SPACE)


@pytest.mark.slow
def test_a_storage_of_another_search_is_refused(tmp_path) -> None:
    place = StudyPlace(f"sqlite:///{tmp_path}/search.db", "s")
    open_study(place, "minimize", {"hydra.sweeper.params": {"x": "interval(0,1)"}})
    assert open_study(place, "minimize", {"hydra.sweeper.params": {"x": "interval(0,1)"}})[0].study_name == "s"
    with pytest.raises(SettingError, match=r"params: the study 's' in .* has x=interval\(0,1\), not x="):
        open_study(place, "minimize", {"hydra.sweeper.params": {"x": "interval(0,2)"}})
    with pytest.raises(SettingError, match=r"hydra.sweeper.direction: the study 's' in .* has minimize, not maximize"):
        open_study(place, "maximize", {"hydra.sweeper.params": {"x": "interval(0,1)"}})
    with pytest.raises(SettingError, match=r"no://me@host/db cannot be opened \(.*\); give a path") as no:
        open_study(StudyPlace("no://me:secret@host/db", "s"), "minimize", {})
    assert "secret" not in str(no.value)


def test_a_refused_search_leaves_the_journal_as_it_is(tmp_path) -> None:
    journal = tmp_path / JOURNAL
    place = StudyPlace(str(journal), "s")
    open_study(place, "minimize", {"objective": "auc"})
    with journal.open("ab") as file:
        file.write(b'{"op_code": 5, "wor')  # by a process that was killed
    before = journal.read_bytes()
    with pytest.raises(SettingError, match=r"objective: the study 's' in .* has auc, not null"):
        open_study(place, "minimize", {"objective": None})
    assert journal.read_bytes() == before
    study, _ = open_study(place, "minimize", {"objective": "auc"})
    study.set_user_attr("more", 1)
    assert open_study(place, "minimize", {"objective": "auc"})[0].user_attrs["more"] == 1
    assert [json.loads(line)["op_code"] for line in journal.read_bytes().splitlines()] == [0, 2, 2]


def test_storages_are_absolute_and_shown_as_they_are_typed(tmp_path, monkeypatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    for typed, absolute, shown in (
        ("a.journal", f"{tmp_path}/a.journal", "a.journal"),
        ("link/a.journal", f"{tmp_path}/real/a.journal", "real/a.journal"),
        ("sqlite:///a.db", f"sqlite:///{tmp_path}/a.db", "sqlite:///a.db"),
        ("sqlite+pysqlite:///b/a.db?x=1", f"sqlite+pysqlite:///{tmp_path}/b/a.db?x=1", "sqlite+pysqlite:///b/a.db?x=1"),
        ("sqlite:////b/a.db", "sqlite:////b/a.db", "sqlite:////b/a.db"),
        ("mysql://me:secret@host/db", "mysql://me:secret@host/db", "mysql://me@host/db"),
    ):
        found = place_of({"storage": typed}, tmp_path, "s").storage
        assert (found, shown_storage(found)) == (absolute, shown)


def test_files_that_are_no_journals_are_refused_and_kept(tmp_path) -> None:
    (tmp_path / "notes").write_text("a list\nof words\nwithout an end")
    (tmp_path / "link").symlink_to(tmp_path / "notes")
    os.mkfifo(tmp_path / "pipe")
    for name, said in (("notes", "is no journal of Optuna's, or damaged"), ("link", "is a link"), ("pipe", "a pipe")):
        with pytest.raises(SettingError, match=f"hydra.sweeper.storage: .*{name} .*{said}"):
            open_study(StudyPlace(str(tmp_path / name), "s"), "minimize", {})
    assert (tmp_path / "notes").read_text() == "a list\nof words\nwithout an end"
    with pytest.raises(SettingError, match=r"hydra.sweeper.storage: .*none cannot be opened \(No such file"):
        open_storage(str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(("values", "fault"), [
    ({"lr": 0.01, "n": 4, "c": "b"}, None),
    ({"lr": 1e-4, "n": 1, "c": "a"}, None),
    ({"lr": 0.2, "n": 4, "c": "b"}, "lr=0.2, which is not in log interval(0.0001,0.1)"),
    ({"lr": math.nan, "n": 4, "c": "b"}, "lr=nan, which is not in"),
    ({"lr": "0.01 model._target_=evil.Net", "n": 4, "c": "b"}, "lr='0.01 model._target_=evil.Net', which is not in"),
    ({"lr": 0.01, "n": 5, "c": "b"}, "n=5, which is not in 1, 2, …, 4"),
    ({"lr": 0.01, "n": 4.0, "c": "b"}, "n=4.0, which"),
    ({"lr": 0.01, "n": True, "c": "b"}, "n=True, which"),
    ({"lr": 0.01, "n": 4, "c": "{_target_: evil.f}"}, "c='{_target_: evil.f}', which is not in choice(a,b)"),
    ({"lr": 0.01, "n": 4, "c": ["a"]}, "c=['a'], which"),
    ({"lr": 0.01, "n": 4}, "values of 'lr', 'n', not of lr, n, c"),
    ({"lr": 0.01, "n": 4, "c": "a", "model._target_": "evil.Net"}, "values of 'c', 'lr', 'model._target_', 'n', not"),
])  # fmt: skip
def test_values_that_a_search_does_not_draw_are_known(values, fault) -> None:
    found = SPACE.find_fault(values)
    assert found is None if fault is None else (found or "").startswith(fault)


@pytest.mark.parametrize("name", ["random", "tpe"])
def test_all_drawn_values_are_of_the_space(name) -> None:
    varied = space("a=range(0.1,0.9,0.1)", "b=tag(log,interval(1e-5,1))", "c=int(tag(log,interval(8,64)))", "d=1,x")
    study = optuna.create_study()
    for number in range(25):
        draw(study, make_sampler(name, {}, 3, number, varied), varied.dimensions, {})
        study.tell(number, study.trials[number].params["a"])
    assert [varied.find_fault(one.params) for one in study.trials] == [None] * 25


def test_the_door_to_hydra_costs_no_optuna() -> None:
    said = "import sys, hydra_plugins.lt_lightning_optuna; print('optuna' in sys.modules, 'torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert ran.stdout == "False False\n"
