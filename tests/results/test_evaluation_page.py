"""An evaluation is said in a table, in JSON and on a page, each with the same numbers, and no text acts."""

import dataclasses
import json
import math
import re
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len

from lt_lightning.errors import SettingError
from lt_lightning.evaluate.evaluation import Evaluated, agreement, as_json
from lt_lightning.evaluate.report import render_evaluation, write_evaluation
from lt_lightning.evaluate.terminal import evaluation_text
from lt_lightning.tickets.scores import evaluate

HOSTILE = "<script>alert(1)</script> \x1b[31mred\x07 \u202e" + "long " * 400


def evaluated(**changes: Any) -> Evaluated:
    """Five rows of three classes, two of them mistaken; the third class is nowhere."""
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.9, 0.08, 0.02], [0.3, 0.4, 0.3], [0.6, 0.2, 0.2]]))
    found = evaluate(logits, np.array([0, 1, 1, 1, 0]))
    about = {
        "experiment": "quickstart", "run": "r", "corpus": "PyDocs", "round": 3, "seed": 0, "sparsity": 0.75,
        "alive": 25, "total": 100, "values": "float32", "test_acc": 0.6000000238418579,
        "fingerprint": {"train": "a", "test": "b"},
    }  # fmt: skip
    whole = Evaluated(
        "ticket.safetensors", about, ("sport", "a<b>", "none"), "my texts", "texts.csv", None, 1, "b", found, found,
        1.0, None, [3, 2], [HOSTILE, "plain"],
    )  # fmt: skip
    return dataclasses.replace(whole, **changes)


def about(**changes: Any) -> dict[str, Any]:
    return {**evaluated().about, **changes}


def test_the_json_holds_all_numbers_and_null_where_there_is_none():
    said = json.loads(json.dumps(as_json(evaluated()), allow_nan=False))
    assert (said["rows"], said["right"], said["accuracy"]) == (5, 3, 0.6)
    assert said["confusion"] == [[2, 0, 0], [2, 1, 0], [0, 0, 0]]
    assert said["classes"][1] == {
        "name": "a<b>", "rows": 3, "taken": 1, "right": 1, "precision": 1.0, "recall": pytest.approx(1 / 3),
        "f1": 0.5,
    }  # fmt: skip
    assert said["classes"][2]["recall"] is None
    assert said["classes"][2]["f1"] is None
    assert said["macro_f1"] == pytest.approx((2 / 3 + 0.5) / 2)
    assert sum(bin["rows"] for bin in said["reliability"]) == 5
    assert len(said["reliability"]) == 15
    assert said["reliability"][0]["accuracy"] is None
    assert [(one["row"], one["label"], one["predicted"]) for one in said["mistakes"]] == [
        (3, "a<b>", "sport"),
        (2, "a<b>", "sport"),
    ]
    assert said["mistakes"][0]["text"] == HOSTILE[:2000] != HOSTILE
    assert said["data"]["tested_by_the_run"] is True
    gaps = [abs(bin["accuracy"] - bin["confidence"]) * bin["rows"] for bin in said["reliability"] if bin["rows"]]
    assert said["calibration_error"] == pytest.approx(sum(gaps) / 5)


def test_a_temperature_and_a_threshold_are_said_with_what_they_change():
    cooler = evaluate(np.array([[3.0, 0, 0], [3, 0, 0], [2, 0, 0], [0, 1, 0], [4, 0, 0]]), np.array([0, 1, 1, 1, 0]))
    whole = evaluated(raw=cooler, temperature=1.5, threshold=0.5)
    sentences = (
        f"temperature, 1.5; without it the log loss is {cooler.log_loss:.4f} and the calibration error "
        f"{100 * cooler.calibration_error:.2f} %.",
        "With a threshold of 0.5, 80.00 % of the rows are answered, 50.00 % of them right.",
    )
    for text in (evaluation_text(whole), re.sub(r"\s+", " ", unescape(render_evaluation(whole, [])))):
        assert all(sentence in text for sentence in sentences)
    said = as_json(whole)
    assert said["raw"] == {"log_loss": cooler.log_loss, "calibration_error": cooler.calibration_error}
    curve = {one["threshold"]: (one["answered"], one["accuracy"]) for one in said["coverage"]}
    assert (curve[0.0], curve[0.5], curve[0.65], curve[0.999]) == ((5, 0.6), (4, 0.5), (2, 0.5), (0, None))
    assert "threshold" not in evaluation_text(evaluated())


def test_the_table_has_the_numbers_and_no_control_characters():
    text = evaluation_text(evaluated())
    assert all(letter.isprintable() or letter == "\n" for letter in text)
    lines = text.splitlines()
    assert lines[0] == "ticket.safetensors on my texts: 5 rows, 1 without text or label left out"
    assert "accuracy           60.00 %" in lines
    assert "a<b>      3   100.00 %   33.33 %  50.00 %" in lines
    assert "none      0          -         -        -" in lines
    assert "a<b>           2     1     0" in lines
    (mistake,) = (line for line in lines if line.lstrip().startswith("3 "))
    assert mistake.startswith("  3     90.00 %  a<b>   sport      <script>alert(1)</script> [31mred long")
    assert max(map(len, lines)) <= 110


def test_the_page_has_the_numbers_and_whatever_a_text_holds_stands_there():
    page = render_evaluation(evaluated(), [])
    assert "<script" not in page
    assert "\x1b" not in page and "\x07" not in page and "\u202e" not in page
    words = unescape(re.sub(r"<[^>]+>", " ", page))
    assert "<script>alert(1)</script>" in words
    assert "takes 3 of 5 rows" in words
    assert "with 25.00 % of its weights alive" in words
    row = words[words.index("a<b>") :].split()
    assert row[:9] == ["a<b>", "3", "1", "100.00", "%", "33.33", "%", "50.00", "%"]
    assert words.count("long ") < 100  # of 400: of a long text the beginning


@pytest.mark.slow
def test_an_evaluation_is_a_page_its_numbers_and_its_figures(tmp_path):
    page = write_evaluation(evaluated(), tmp_path / "deep" / "found")
    left = {path.relative_to(page.parent).as_posix() for path in page.parent.rglob("*") if path.is_file()}
    pictures = {
        f"figures/{name}.{ending}" for name in ("confusion", "coverage", "reliability") for ending in ("png", "svg")
    }
    assert left == {"evaluation.html", "evaluation.json"} | pictures
    assert page.read_text(encoding="utf-8").count("data:image/svg+xml") == 3
    first = {path: path.read_bytes() for path in page.parent.rglob("*") if path.is_file()}
    write_evaluation(evaluated(), tmp_path / "deep" / "found")
    assert {path: path.read_bytes() for path in first} == first


def test_of_many_classes_there_is_no_picture_and_the_page_says_so(tmp_path):
    many = 41
    found = evaluate(np.eye(many), np.arange(many))
    page = write_evaluation(
        evaluated(evaluation=found, class_names=[f"c{n}" for n in range(many)], numbers=[], texts=[]), tmp_path
    )
    assert not (tmp_path / "figures" / "confusion.svg").exists()
    assert "41 classes, more than 40, make no picture" in page.read_text(encoding="utf-8")


def test_half_a_character_can_be_written(tmp_path):
    page = write_evaluation(evaluated(texts=["\ud800", "b"]), tmp_path)
    assert json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))["mistakes"][0]["text"] == "\ud800"
    assert page.exists()


def test_where_nothing_can_be_written_the_line_names_the_place(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(SettingError, match="cannot be written"):
        write_evaluation(evaluated(), tmp_path / "file")


@pytest.mark.parametrize(("changes", "said"), [
    ({}, "The run tested on these rows, and measured the same: 60.00 %."),
    ({"about": about(test_acc=0.8)}, "measured 80.00 %: here 1 row fewer came out right"),
    ({"about": about(test_acc=0.2)}, "measured 20.00 %: here 2 rows more came out right"),
    ({"about": about(values="4 bits", rounded_test_acc=0.8)}, "measured 80.00 %: here 1 row fewer"),
    ({"fingerprint": "c"}, None), ({"about": about(fingerprint=None)}, None),
    ({"about": about(test_acc=math.nan)}, None), ({"about": about(test_acc=math.inf)}, None),
    ({"about": about(test_acc=None)}, None),
])  # fmt: skip
def test_the_accuracy_is_held_against_the_runs_own_where_the_rows_are_the_same(changes, said):
    found = agreement(evaluated(**changes))
    assert said in found if said else found == ""
    assert found in evaluation_text(evaluated(**changes))
    assert found in unescape(render_evaluation(evaluated(**changes), []))


NAMES = (
    "Science and Technology", "宇宙の星と月と太陽系", "Sports", "Bücher\x1b[2J", "a", "Business", "World news",
    "x" * 99,
)  # fmt: skip


def many(classes: int) -> Evaluated:
    rng = np.random.default_rng(0)
    found = evaluate(rng.normal(size=(12_345, classes)), rng.integers(0, classes, 12_345))
    texts = ["some long text about many things " * 9, "宇宙の星と月" * 50] * 5
    return evaluated(class_names=NAMES[:classes], evaluation=found, numbers=list(range(9_995, 10_005)), texts=texts)


@pytest.mark.parametrize("width", [50, 60, 80, 120])
@pytest.mark.parametrize("classes", [2, 3, 8])
def test_no_line_of_the_table_is_wider_than_the_terminal_and_every_number_is_whole(width: int, classes: int):
    one = many(classes)
    lines = evaluation_text(one, width).split("\n")
    assert max(map(cell_len, lines)) <= width
    words = [line.split() for line in lines]
    for score in one.evaluation.classes:
        rates = [f"{100 * value:.2f}" for value in (score.precision, score.recall, score.f1)]
        assert any({f"{score.rows:,}", *rates} <= set(line) for line in words)
    for row in one.evaluation.confusion.tolist():
        assert any([f"{count:,}" for count in row] == line[-classes:] for line in words)
    for mistake in one.evaluation.mistakes:
        assert any(f"{100 * mistake.confidence:.2f}" in line for line in words)


def test_a_confusion_that_has_no_room_is_folded_with_its_numbers_whole():
    lines = evaluation_text(many(8), 30).split("\n")
    counts = {f"{count:,}" for row in many(8).evaluation.confusion.tolist() for count in row}
    assert counts <= {word for line in lines for word in line.split()}
    assert sum(line.startswith("taken for") for line in lines) > 1


def test_without_a_terminal_the_table_is_as_wide_as_it_is():
    assert max(map(cell_len, evaluation_text(many(8)).split("\n"))) > 100
