"""A run that is older than a default goes on with the default of its time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lt_lightning.experiment.resume.command import earlier_defaults, resumed_arguments

OLDER = {"data": {"name": "files", "path": "corpus"}, "model": {"name": "multi_cnn"}, "embedding": {"std": 1.0}}
NEWER = {**OLDER, "data": {**OLDER["data"], "test_fraction": 0.2}}


@pytest.mark.parametrize(
    ("command", "configs", "added"),
    [
        (["data=files"], [OLDER], ["model=multi_cnn", "embedding.std=1.0"]),
        (["data=files"], [OLDER, OLDER], ["model=multi_cnn", "embedding.std=1.0"]),
        (["data=files"], [NEWER], []),
        (["data=files"], [], []),
        (["data=files", "model=multi_cnn"], [OLDER], ["embedding.std=1.0"]),
        (["data=files", "embedding.std=0.5"], [{**OLDER, "embedding": {"std": 0.5}}], ["model=multi_cnn"]),
        (["+experiment=names", "data=files"], [{**OLDER, "model": {"name": "birnn"}}], ["embedding.std=1.0"]),
        (["data=files", "embedding.std=1,2"], [OLDER, {**OLDER, "embedding": {"std": 2.0}}], ["model=multi_cnn"]),
        (["data=agnews"], [{**OLDER, "data": {"name": "AG News"}}], []),
    ],
)
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
