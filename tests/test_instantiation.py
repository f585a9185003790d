"""An object that settings describe and that cannot be made: the line names the cause, not that there was one."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf

from lt_lightning.config.messages import explain, explain_instantiation
from lt_lightning.config.schema import TrainerConfig
from lt_lightning.errors import SettingError

MODULES = {
    "my_thing.py": """
class Average:
    def __init__(self, decay=0.9, *, every=1):
        self.decay = decay + 0.0

class Strict:
    def __init__(self, path, decay=0.9):
        open(path)

class Needy:
    def __init__(self):
        import no_such_package.deep

class Inner:
    def __init__(self, kind="missing"):
        Strict() if kind == "missing" else Strict(pth=1)

class Fussy:
    def __init__(self, **settings):
        raise ValueError("decay must lie\\nin (0, 1)")
""",
    "my_importer.py": "import no_such_package.deep\n",
    "my_mistake.py": "1 / 0\n",
    "my_typo.py": "def broken(:\n",
}


@pytest.fixture(autouse=True)
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, text in MODULES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in MODULES:
        sys.modules.pop(name.removesuffix(".py"), None)


def explained(group: Mapping[str, Any]) -> str:
    with pytest.raises(InstantiationException) as error:
        instantiate(OmegaConf.create(dict(group)), _convert_="all")
    return explain_instantiation(error.value, "trainer")


@pytest.mark.parametrize(("made", "said"), [
    ({"_target_": "my_thing.Strict", "pth": "x"}, "my_thing.Strict takes no argument pth; did you mean path?; its"),
    ({"_target_": "my_thing.Strict", "zz": 1}, "takes no argument zz; its arguments: path, decay"),
    ({"_target_": "my_thing.Strict"}, "my_thing.Strict needs path; add what is missing beside _target_"),
    ({"_target_": "my_thing.Strict", "path": "/no/such"}, "failed: FileNotFoundError: [Errno 2] No such file"),
    ({"_target_": "my_thing.Average", "decay": "a"}, "my_thing.Average failed: TypeError: can only concatenate"),
    ({"_target_": "my_thing.Fussy", "decay": 2}, "my_thing.Fussy failed: ValueError: decay must lie in (0, 1)"),
    ({"_target_": "my_thing.Needy"}, "needs the package no_such_package; pip install no-such-package"),
    ({"_target_": "my_importer.X"}, "my_importer.X needs the package no_such_package; pip install no-such-package"),
    ({"_target_": "my_mistake.X"}, "my_mistake.X cannot be imported (ZeroDivisionError: division by zero)"),
    ({"_target_": "my_typo.X"}, "my_typo.X cannot be imported (SyntaxError: invalid syntax"),
    ({"_target_": "my_thing.Avrage"}, "my_thing has no Avrage; did you mean Average?"),
    ({"_target_": "my_thin.Average"}, "there is no module my_thin; correct _target_=my_thin.Average, or install"),
    ({"_target_": "my_thing"}, "give the full name of a class or function"),
    ({"_target_": ""}, "_target_ is empty; give the full name of a class or function"),
    ({"_target_": 3}, "_target_ is 3, of type int; give the full name of a class or function"),
    (
        {"_target_": "pytorch_lightning.callbacks.EarlyStoping", "monitor": "x"},
        "pytorch_lightning.callbacks has no EarlyStoping; did you mean EarlyStopping?",
    ),
    ({"_target_": "pytorch_lightning.loggers.CometLogger"}, "needs comet-ml"),
])  # fmt: skip
def test_the_line_names_the_cause_and_the_remedy(made: dict[str, Any], said: str) -> None:
    line = explained({"callbacks": [{"_target_": "builtins.dict"}, made]})
    assert line.startswith("trainer.callbacks[1]: ")
    assert said in line
    assert "HYDRA_FULL_ERROR" not in line
    assert "full_key" not in line
    assert "\n" not in line


@pytest.mark.parametrize("key", ["logger", "profiler", "plugins", "strategy"])
def test_it_names_the_setting_of_any_object(key: str) -> None:
    assert explained({key: {"_target_": "my_thing.Fussy"}}).startswith(f"trainer.{key}: my_thing.Fussy failed: ")
    assert explained({key: [{"_target_": "my_thing.Fussy"}]}).startswith(f"trainer.{key}[0]: my_thing.Fussy failed: ")


def test_an_object_within_another_is_named() -> None:
    line = explained({"logger": {"_target_": "builtins.dict", "inner": {"_target_": "my_thing.Needy"}}})
    assert line.startswith("trainer.logger.inner: my_thing.Needy needs the package no_such_package")


def test_an_argument_that_is_misspelled_further_inside_is_not_blamed_on_the_settings() -> None:
    for kind in ("missing", "unexpected"):
        line = explained({"callbacks": [{"_target_": "my_thing.Inner", "kind": kind}]})
        assert "my_thing.Inner failed: TypeError: Strict.__init__() " in line


def test_what_hydra_itself_makes_is_explained_too() -> None:
    with pytest.raises(InstantiationException) as error:
        instantiate(OmegaConf.create({"hydra": {"launcher": {"_target_": "my_thing.Needy"}}}))
    assert explain(error.value).startswith("hydra.launcher: my_thing.Needy needs the package no_such_package; pip")


@pytest.mark.parametrize(("settings", "said"), [
    ({"callbacks": [{"_target_": "builtins.dict"}]}, "trainer.callbacks[0]: dict is no Callback of Lightning's"),
    ({"callbacks": [{"_target_": "my_thing.Fussy", "_partial_": True}]}, "trainer.callbacks[0]: "),
    ({"profiler": {"_target_": "my_thing.Strict"}}, "trainer.profiler: my_thing.Strict needs path"),
])  # fmt: skip
def test_a_trainer_refuses_what_lightning_could_not_call(settings: dict[str, Any], said: str, tmp_path: Path) -> None:
    from lt_lightning.experiment.trainer import make_trainer

    config = TrainerConfig(max_epochs=1, accelerator="cpu", **settings)
    with pytest.raises(SettingError) as error:
        make_trainer(config, [], tmp_path)
    assert str(error.value).startswith(said)
