"""Values reach the configuration as they were typed; what Hydra can read keeps its meaning."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from lt_lightning.config.folder import config_folder
from lt_lightning.config.quoting import quote, quote_arguments, quoted, text_settings
from lt_lightning.config.schema import register_schema


def read(argument: str) -> object:
    return OverridesParser.create().parse_override(argument).value()


@pytest.mark.parametrize("value", [
    "größe", "/a/my texts", "/a/b(1).csv", "/a/b (copy)/c", "a=b", "~/x", "it's", "日本", "a#b", "a&b!", "f(x)",
    ";", ",", "|", "\t", "\\t", "007", "1_0", "1e3", "1.50", "true", "2026", "C:\\x y", "x[1]", "Text (lang)",
])  # fmt: skip
def test_a_text_is_what_was_typed(value: str) -> None:
    register_schema()
    arguments = [quote(f"{key}={value}") for key in ("name", "data.path", "data.text_column", "data.delimiter")]
    assert [str(read(argument)) for argument in arguments] == [value] * 4
    assert [quote(argument) for argument in arguments] == arguments  # as a recorded command is read again
    with initialize_config_dir(config_folder(), version_base="1.3"):
        composed = compose("config", arguments)
    data = composed.data
    assert [composed.name, data.path, data.text_column, data.delimiter] == [value] * 4


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])), st.sampled_from(["", "\\", "'", "\\'"]))
def test_any_text_can_be_quoted(text: str, end: str) -> None:
    assert read(f"name={quoted(text + end)}") == text + end


@pytest.mark.parametrize("argument", [
    "seed=0,1", "seed=range(1,3)", "pruning.rewind=init,last", "model.widths=[3,4]", "data.class_names=[a,b]",
    "trainer.callbacks=[{_target_: my.Callback}]", "data.path=${oc.env:HOME}/x", "name='größe'", "data.path=null",
    "+experiment=quickstart", "~pruning.amount", "name=", "optimizer.lr=1e-3", "data.path=choice(a,b)",
    "name='open", "data.limit=[1", "pruning.ämount=1", "pruning.amount =0.2", "=3", "resume=/a/b(1)",
])  # fmt: skip
def test_what_hydra_reads_or_nobody_can_stays_as_it_is(argument: str) -> None:
    assert quote(argument) == argument


@pytest.mark.parametrize(("argument", "value"), [
    ("data.class_names=[größe, Sci (tech),'a, b']", ["größe", "Sci (tech)", "a, b"]),
    ("data.class_names=[01,1e3,true,1.50]", ["01", "1e3", "true", "1.50"]),
    ("pruning.exclude=[größe.*]", ["größe.*"]),
])  # fmt: skip
def test_elements_of_a_list_are_what_was_typed(argument: str, value: list[str]) -> None:
    assert list(map(str, read(quote(argument)))) == value  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_an_interpolation_in_odd_text_is_filled_in() -> None:
    register_schema()
    with initialize_config_dir(config_folder(), version_base="1.3"):
        assert compose("config", [quote("name=größe ${seed}"), "seed=7"]).name == "größe 7"


def test_several_values_are_quoted_one_by_one() -> None:
    sweep = OverridesParser.create().parse_override(quote("name=größe,klein,x (1)", in_sweep=True))
    assert [*sweep.sweep_string_iterator()] == ["'größe'", "klein", "'x (1)'"]
    sweep = OverridesParser.create().parse_override(quote("pruning.exclude=[],[größe.*,x],[a]", in_sweep=True))
    assert [*sweep.sweep_string_iterator()] == ["[]", "['größe.*',x]", "[a]"]


def test_a_path_that_exists_is_one_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a,b.csv", "[x].csv", "{1}.csv", "Größe, neu (1).csv"):
        Path(name).touch()
        assert read(quote(f"data.path={name}")) == name
    assert quote_arguments(["-m", "data.path=a,b.csv"]) == ["-m", "data.path=a,b.csv"]  # two folders to sweep over
    assert quote_arguments(["data.path=a,c.csv"]) == ["data.path=a,c.csv"]  # Hydra asks whether a sweep is meant


def test_flags_are_left_alone() -> None:
    flags = ["--config-dir", "größe (1)", "name=größe", "-m"]
    assert quote_arguments(flags) == ["--config-dir", "größe (1)", "name='größe'", "-m"]


def test_text_settings_are_those_of_the_schema() -> None:
    single, several = text_settings()
    assert {"name", "data.path", "data.label_column", "embedding.path", "pruning.ticket"} <= single
    assert {"data.class_names", "pruning.include"} <= several
    assert not {"seed", "pruning.amount", "trainer.max_epochs", "trainer.callbacks"} & (single | several)
