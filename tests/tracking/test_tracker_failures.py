"""Names and values that a tracker refuses, and connections that fail: each costs the run no other value."""

from __future__ import annotations

import itertools
import logging
import signal
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from pytorch_lightning.loggers import Logger

from lt_lightning.runtime.signals import Interruption
from lt_lightning.trackers import guard as guarding
from lt_lightning.trackers.base import RoundValues, RunFacts, Tracker
from lt_lightning.trackers.failures import is_refusal
from lt_lightning.trackers.guard import FILES, Guarded
from lt_lightning.trackers.marks import Marks
from lt_lightning.trackers.mlflow_names import mlflow_name


class Fake(Tracker[Logger]):
    """A tracker that keeps rounds, and raises for some of them."""

    title = "Fake"

    def __init__(self, failing: Mapping[int, BaseException]) -> None:
        self.failing, self.rounds = dict(failing), []

    @property
    def place(self) -> str:
        return "here"

    def open(self, facts: RunFacts) -> Mapping[str, Any]:
        return {}

    def log_round(self, values: RoundValues) -> None:
        if values.round in self.failing:
            raise self.failing[values.round]
        self.rounds.append(values.round)

    def close(self, status: str) -> None:
        pass


Guard = Callable[[Mapping[int, BaseException]], tuple[Guarded, Fake]]


@pytest.fixture
def guard(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Guard:
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(guarding, "_PAUSE", 0.0)
    monkeypatch.setattr(guarding, "_SHARE", 0)

    def make(failing: Mapping[int, BaseException]) -> tuple[Guarded, Fake]:
        fake, marks = Fake(failing), Marks(None, fresh=True)
        return Guarded("logger.fake", fake, marks, lambda *_: None, lambda *_: None, lambda: None), fake

    return make


def log_rounds(guarded: Guarded, *rounds: int) -> None:
    for one in rounds:
        guarded.log_round(RoundValues(one, one, {"ticket/round": one}, {}))


def test_a_refused_call_is_dropped_with_one_warning_that_names_it(guard, caplog):
    guarded, fake = guard({1: ValueError("a name with @")})
    log_rounds(guarded, 0, 1, 2, 3)
    assert fake.rounds == [0, 2, 3]
    assert guarded.close("finished")
    (warning,) = caplog.messages
    assert warning.startswith("logger: Fake refuses the values of round 1 (a name with @)")


def test_calls_wait_for_a_connection_however_long(guard, caplog):
    guarded, fake = guard(dict.fromkeys(range(20), ConnectionError("gone")))
    log_rounds(guarded, *range(20))
    assert fake.rounds == []
    fake.failing = {}
    assert guarded.close("finished")
    assert fake.rounds == [*range(20)]
    (warning,) = caplog.messages
    assert "(gone); the run goes on, and tries again" in warning


def test_a_call_that_alone_fails_holds_back_no_other_and_is_dropped(guard, caplog):
    guarded, fake = guard({1: TimeoutError("too large")})
    log_rounds(guarded, *range(20))
    assert sorted(fake.rounds) == [0, *range(2, 20)]
    assert guarded.close("finished")
    assert [one for one in caplog.messages if "refuses the values of round 1 (too large)" in one]


@pytest.mark.parametrize("bad", [{1, 3}, {1, 2, 3}, {*range(1, 20, 2)}])
def test_several_calls_that_fail_alone_hold_back_no_other_and_are_dropped(guard, bad):
    guarded, fake = guard({one: TimeoutError("too large") for one in bad})
    log_rounds(guarded, *range(40))
    assert sorted(fake.rounds) == sorted({*range(40)} - bad)
    assert guarded.close("finished")


def test_an_outage_does_not_count_as_tries_of_a_call(guard):
    guarded, fake = guard(dict.fromkeys(range(10), ConnectionError("gone")))
    log_rounds(guarded, *range(10))
    fake.failing = {0: ConnectionError("gone")}
    log_rounds(guarded, 10)
    fake.failing = {}
    assert guarded.close("finished")
    assert sorted(fake.rounds) == [*range(11)]


def test_a_signal_during_a_try_loses_no_call(guard):
    guarded, fake = guard({1: ConnectionError("gone")})
    log_rounds(guarded, 0, 1)
    fake.failing[1] = Interruption(signal.SIGTERM)
    with pytest.raises(Interruption):
        log_rounds(guarded, 2)
    fake.failing = {}
    assert guarded.close("stopped")
    assert fake.rounds == [0, 1, 2]


def test_an_outage_at_the_end_is_not_the_end(guard, caplog):
    guarded, _ = guard({1: ConnectionError("gone"), 2: ConnectionError("gone")})
    log_rounds(guarded, 0, 1, 2)
    assert not guarded.close("finished")
    assert "2 calls were not logged (the values of round 1, the values of round 2)" in caplog.messages[-1]


def test_a_tracker_that_refuses_the_files_does_not_have_all(guard):
    guarded, _ = guard({1: ValueError("no")})
    log_rounds(guarded, 0, 1)
    assert guarded.close("finished")
    guarded.call(lambda: [][0], FILES)
    assert not guarded.close("finished")


def test_errors_by_whether_another_try_can_help():
    class AnswerError(OSError):
        def __init__(self, status: int) -> None:
            self.response = type("Response", (), {"status_code": status})()

    def wrapped(cause: Exception) -> Exception:
        error = RuntimeError("the request failed")
        error.__cause__ = cause
        return error

    for error in (
        ValueError(),
        TypeError(),
        KeyError(),
        AnswerError(400),
        AnswerError(413),
        FileNotFoundError(),
        wrapped(AnswerError(404)),
    ):
        assert is_refusal(error), error
    for error in (
        ConnectionError(),
        TimeoutError(),
        AnswerError(503),
        AnswerError(401),
        OSError(),
        RuntimeError("server down"),
        sqlite3.OperationalError("database is locked"),
        wrapped(TimeoutError()),
    ):
        assert not is_refusal(error), error


@pytest.mark.slow  # imports MLflow
def test_names_for_mlflow_are_taken_and_no_two_become_one():
    validation = pytest.importorskip("mlflow.utils.validation")
    assert mlflow_name("val/recall@10") == "val/recall_x40_10"
    assert mlflow_name("a b!") == "a b_x21_"
    for name in ("ticket/test_acc", "layers/conv_x.weight", "a: b-c.d", "train_xent", "précision"):
        assert mlflow_name(name) == name
    names = {"".join(one) for length in range(1, 5) for one in itertools.product("@/._x4a", repeat=length)}
    names |= {"x" * 260, "x" * 259 + "y"}
    translated = {mlflow_name(name) for name in names}
    assert len(translated) == len(names)
    for name in translated:
        validation._validate_metric_name(name)
        validation._validate_param_name(name)
        validation._validate_tag_name(name)
