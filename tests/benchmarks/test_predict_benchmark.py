"""That the benchmark of prediction times the same network three times, and its table and figure come out."""

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import predict, predict_start
from benchmarks.predict_peers import FAST, OURS, REFERENCE, draw_texts, make_random, peers
from lt_lightning.errors import SettingError


@pytest.mark.parametrize("model", ["cnn", "birnn"])
@pytest.mark.parametrize("density", [1.0, 0.02])
def test_all_peers_give_the_same_logits(model: str, density: float) -> None:
    takers = peers(make_random(model, 60, density))
    texts = draw_texts(60, 5, 0)
    answers = {name: answer(texts) for name, answer in takers.items()}
    assert np.ptp(answers[REFERENCE]) > 0.01
    for name in (OURS, FAST):
        np.testing.assert_allclose(answers[name], answers[REFERENCE], rtol=1e-4, atol=1e-5)


def test_peers_that_answer_differently_are_not_timed() -> None:
    packed = make_random("cnn", 60, 0.5)
    takers, texts = peers(packed), draw_texts(60, 5, 0)
    bias = packed.parameters["fc.bias"]
    other = {**packed.parameters, "fc.bias": replace(bias, values=bias.values + 1)}
    takers[FAST] = peers(replace(packed, parameters=other))[FAST]
    with pytest.raises(SettingError, match="differ"):
        predict.check_agreement(takers, texts)


@pytest.mark.slow
def test_the_table_the_figure_and_the_numbers_come_out(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(predict_start, "TORCH", "import sys")  # importing torch three times takes long
    kept, figure = tmp_path / "predict.json", tmp_path / "predict.png"
    predict.main(
        ["--words=60", "--densities", "1", "0.1", "--pieces=2", "--starts=2", f"--json={kept}", f"--figure={figure}"]
    )
    said, numbers = capsys.readouterr().out, json.loads(kept.read_text())
    assert [row["density"] for row in numbers["rows"]] == [1.0, 0.1]
    for row in numbers["rows"]:
        assert f"| {row['density']:.3g} | {row['share']:.2%} |" in said
        for key in ("rate", "latency"):
            assert set(row[key]) == {OURS, FAST, REFERENCE}
            assert min(one["low"] for one in row[key].values()) > 0
        assert row["start"]["seconds"]["median"] > 0
    assert "torch and the dense weights alone" in said
    assert figure.read_bytes().startswith(b"\x89PNG")
