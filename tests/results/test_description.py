"""`run.json` is sealed: a change is named, another layout is not one, and older files without a seal are read."""

from __future__ import annotations

import json
from pathlib import Path

from lt_lightning.errors import SettingError
from lt_lightning.runs.description import FORMAT, is_as_written, write_description
from lt_lightning.runs.machine import describe_cpu
from lt_lightning.runs.reading import read_description

DESCRIPTION = {
    "format": FORMAT,
    "seed": 1,
    "config": {"name": "größe", "lr": 1e-8, "none": None},
    "corpus": {"rows": [1, 2], "x": -0.5},
}


def test_every_flipped_bit_of_run_json_is_noticed(tmp_path: Path) -> None:
    write_description(tmp_path, DESCRIPTION)
    path = tmp_path / "run.json"
    content = path.read_bytes()
    assert is_as_written(read_description(path))
    for position in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[position // 8] ^= 1 << position % 8
        path.write_bytes(flipped)
        try:
            description = read_description(path)
        except SettingError:
            continue
        same = {key: value for key, value in description.items() if key != "sha256"} == DESCRIPTION  # 1E-08 for 1e-08
        assert same or not is_as_written(description)


def test_another_layout_is_no_change_and_neither_is_a_missing_seal(tmp_path: Path) -> None:
    write_description(tmp_path, DESCRIPTION)
    path = tmp_path / "run.json"
    sealed = json.loads(path.read_text(encoding="utf-8"))
    assert list(sealed) == [*DESCRIPTION, "sha256"]
    path.write_text(json.dumps(sealed))
    assert is_as_written(read_description(path))
    write_description(tmp_path, sealed)  # a description that was read is sealed as any other
    assert json.loads(path.read_text(encoding="utf-8")) == sealed
    path.write_text(json.dumps({**sealed, "seed": 2}))
    assert not is_as_written(read_description(path))
    path.write_text(json.dumps({**DESCRIPTION, "seed": 2, "format": 1}))  # as 0.4 wrote it
    assert is_as_written(read_description(path))


def test_the_processor_is_described_by_what_decides_on_bits() -> None:
    cpu = describe_cpu()
    assert set(cpu) == {"model", "type", "features"}
    assert cpu["features"] == sorted(set(cpu["features"]))
    assert json.loads(json.dumps(cpu)) == cpu
