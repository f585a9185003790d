"""What a branch records of its trunk, and how its rounds are read."""

import json
import math

import pytest

from lt_lightning.errors import SettingError
from lt_lightning.runs.branch import Branch, read_branch, write_branch
from lt_lightning.runs.csv_files import write_records
from lt_lightning.runs.description import Description, write_content
from lt_lightning.runs.reading import read_run
from lt_lightning.runs.records import LayerRecord, Record

FULL = Record(0, 0.0, 10, 10, 2, 0.5, 0.6, 0.7, math.nan, math.nan, 1.5, valid_f1=0.4, logged={"val/auc": 0.8})
BRANCH = Branch("outputs/x", (2, 4), ("a" * 64, "b" * 64), "epoch:1", FULL)


def test_a_branch_is_read_as_it_was_written(tmp_path):
    write_branch(tmp_path, BRANCH)
    found = read_branch(tmp_path)
    assert found is not None
    assert repr(found) == repr(BRANCH)  # NaN differs from itself
    assert "NaN" not in (tmp_path / "state/branch.json").read_text()
    again = Description.from_json(json.loads(json.dumps(Description(branch=BRANCH).to_json())))
    assert repr(again.branch) == repr(BRANCH)
    write_branch(tmp_path, None)
    assert read_branch(tmp_path) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"rounds": []}, {"rounds": [4, 2]}, {"rounds": [2, 2]}, {"rounds": [2, "4"]}, {"rounds": [-1, 4]},
        {"rounds": 2},
        {"tickets": ["a"]}, {"tickets": [1, 2]}, {"of": 3}, {"rewind": None}, {"full": None}, {"full": {"round": 0}},
        {"full": {**BRANCH.to_json()["full"], "alive": 11}}, {"full": {**BRANCH.to_json()["full"], "test_acc": "0.5"}},
        {"full": {**BRANCH.to_json()["full"], "seconds": 10**400}}, {"full": {**BRANCH.to_json()["full"], "logged": 3}},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_branch_is_none(changes):
    assert Branch.from_json({**BRANCH.to_json(), **changes}) is None
    for content in (None, [], "x", {}):
        assert Branch.from_json(content) is None


def test_a_record_that_was_changed_is_refused(tmp_path):
    write_branch(tmp_path, BRANCH)
    path = tmp_path / "state/branch.json"
    sound = path.read_text()
    for damaged in (sound.replace("[2, 4]", "[2, 5]"), sound[:-9], "", "[]", sound.replace("branch", "round", 1)):
        path.write_text(damaged)
        with pytest.raises(SettingError, match=r"branch\.json: cut off or changed since it was written"):
            read_branch(tmp_path)


def make_branch(run, rounds):
    records = [Record(number, 0.1 * number, 10 - number, 10, 1, *[0.5] * 6) for number in rounds]
    write_records(run / "results.csv", records)
    write_records(run / "layers.csv", [LayerRecord(one.round, "w", one.alive, 10, (10,)) for one in records])
    write_content(run, {"format": 2, "branch": BRANCH.to_json(), "finished": "2026-11-21T21:42:17+00:00"})


def test_the_rounds_of_a_branch_are_read_in_its_order(tmp_path):
    make_branch(tmp_path, (2, 4))
    run = read_run(tmp_path)
    assert ([one.round for one in run.records], run.damages) == ([2, 4], ())
    assert [one.round for one in run.layers] == [2, 4]
    assert repr(run.full) == repr(FULL)


@pytest.mark.parametrize(
    ("rounds", "said"),
    [
        ((2, 3), "line 3: round 3 where round 4 belongs"),
        ((2, 4, 6), "line 4: round 6 where no round belongs"),
    ],
)
def test_a_round_in_a_wrong_place_is_named(tmp_path, rounds, said):
    make_branch(tmp_path, rounds)
    run = read_run(tmp_path)
    assert [one.round for one in run.records] == [2, 4][: len(rounds) - 1]
    assert said in run.damages[0]
