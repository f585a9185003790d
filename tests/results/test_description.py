"""`run.json` is sealed: a change is named, another layout is not one, and older files without a seal are read."""

import json
from pathlib import Path
from typing import Any

import pytest

from lt_lightning.errors import SettingError
from lt_lightning.runs.description import FORMAT, Description, write_content
from lt_lightning.runs.reading import read_description, read_object
from lt_lightning.runtime.machine import describe_cpu

DESCRIPTION = {
    "format": FORMAT, "seed": 1, "config": {"name": "größe", "lr": 1e-8, "none": None},
    "corpus": {"rows": [1, 2], "x": -0.5},
}  # fmt: skip


@pytest.mark.slow
def test_every_flipped_bit_of_run_json_is_noticed(tmp_path: Path) -> None:
    write_content(tmp_path, DESCRIPTION)
    path = tmp_path / "run.json"
    content = path.read_bytes()
    assert read_description(path).is_as_written
    for position in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[position // 8] ^= 1 << position % 8
        path.write_bytes(flipped)
        try:
            found = read_object(path)
        except SettingError:
            continue
        same = {key: value for key, value in found.items() if key != "sha256"} == DESCRIPTION  # 1E-08 for 1e-08
        assert same or not Description.from_json(found).is_as_written


def test_another_layout_is_no_change_and_neither_is_a_missing_seal(tmp_path: Path) -> None:
    write_content(tmp_path, DESCRIPTION)
    path = tmp_path / "run.json"
    sealed = json.loads(path.read_text(encoding="utf-8"))
    assert list(sealed) == [*DESCRIPTION, "sha256"]
    path.write_text(json.dumps(sealed))
    assert read_description(path).is_as_written
    write_content(tmp_path, sealed)  # a description that was read is sealed as any other
    assert json.loads(path.read_text(encoding="utf-8")) == sealed
    path.write_text(json.dumps({**sealed, "seed": 2}))
    assert not read_description(path).is_as_written
    path.write_text(json.dumps({**DESCRIPTION, "seed": 2, "format": 1}))  # as 0.4 wrote it
    assert read_description(path).is_as_written


WHOLE = {
    "format": 2, "command": ["seed=1"], "experiment": "e", "task": "tagging",
    "config": {"seed": 1, "data": {"batch_size": 8, "odd": [1, None]}, "pruning": {"amount": 0.2, "rewind": "init"}},
    "corpus": {"name": "c", "source": "s", "rows": {"test": 2}, "fingerprint": {"test": "f"}, "class_names": ["a"],
               "dropped": {"test": 0}, "libraries": {"sympy": "1"}},
    "measured": {"test": 1}, "vocabulary": {"words": 5, "embedding_found": None, "vectors": None},
    "baseline": {"name": "n-gram", "value": 2.5}, "network": "N", "parameters": 7,
    "versions": {"torch": "2", "sympy": None}, "device": "cpu", "precision": None,
    "cpu": {"model": "A", "features": ["avx2"]}, "processes": 1, "seed": 1, "started": "then", "finished": None,
    "ticket": None, "resumed": [{"at": "later", "changes": {"torch": ["1", "2"]}}, {"at": "last", "changes": None}],
}  # fmt: skip


def test_a_description_is_written_as_it_was_read() -> None:
    found = Description.from_json(WHOLE)
    assert json.dumps(found.to_json()) == json.dumps(WHOLE)
    assert (found.metric_for().name, found.words.words) == ("letters right", "letters")
    assert (found.config.pruning.amount, found.config.data.batch_size, found.corpus.rows) == (0.2, 8, {"test": 2})
    assert [one.at for one in Description.from_json({"resumed": ["old", {"at": "new"}]}).resumed or ()] == [
        "old",
        "new",
    ]


@pytest.mark.parametrize("value", [None, True, -1.5, "text", [[], {}], {"": {"": None}}])
def test_a_value_of_another_type_is_none(value: Any) -> None:
    """Each entry of the whole description in turn, and each value in an entry, is `value`."""
    whole = Description.from_json(WHOLE).to_json()
    for key, entry in WHOLE.items():
        _require_unchanged(whole, Description.from_json({**WHOLE, key: value}).to_json(), key)
        for inside in entry if isinstance(entry, dict) else ():
            _require_unchanged(whole, Description.from_json({**WHOLE, key: {**entry, inside: value}}).to_json(), key)
    assert Description.from_json({"parameters": value}).parameters is None
    assert Description.from_json({"corpus": {"rows": value}}).corpus.rows is None
    assert Description.from_json({"config": {"pruning": value}}).config.pruning.rounds is None


def _require_unchanged(whole: dict[str, Any], found: dict[str, Any], but: str) -> None:
    assert {key: one for key, one in found.items() if key != but} == {
        key: one for key, one in whole.items() if key != but and key in found
    }


def test_the_processor_is_described_by_what_decides_on_bits() -> None:
    cpu = describe_cpu()
    assert set(cpu) == {"model", "type", "features"}
    assert cpu["features"] == sorted(set(cpu["features"]))
    assert json.loads(json.dumps(cpu)) == cpu
