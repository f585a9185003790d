"""The page of a run holds its smallest winning ticket, which answers there as it does in Python."""

import base64
import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.browsing import BROWSER, Browser
from lt_lightning import Ticket
from lt_lightning.config.enums import Splitter
from lt_lightning.data.tokenizer import make_tokenizer
from lt_lightning.lottery import Mask
from lt_lightning.models import MultiCNN
from lt_lightning.report import demo
from lt_lightning.report.run_page import render_page
from lt_lightning.runs.csv_files import write_records
from lt_lightning.runs.reading import read_run
from lt_lightning.runs.records import LayerRecord, Record
from lt_lightning.runs.round_ticket import RoundTicket
from lt_lightning.runs.rounds import ticket_path

WORDS = ["cat", "dog", "bread", "saw", "the", "red"]
NAMES = ["<b>animals</b>", "food", "tools"]
ANSWER = "document.querySelector('#answer').textContent"
TEXT = "The red DOG saw bread 👩‍👩‍👧"


def make_run(folder: Path, accuracies: tuple[float, ...] = (0.7, 0.8, 0.7, 0.5), **about: Any) -> Path:
    """Write a run of rounds with half of the weights of the one before; the ticket of round 2 is there."""
    records = [
        Record(place, 1 - 0.5**place, 64 >> place, 64, 1, 0.5, 0.6, accuracy, 0.7, 0.75, 1.0)
        for place, accuracy in enumerate(accuracies)
    ]
    folder.mkdir()
    write_records(folder / "results.csv", records)
    write_records(
        folder / "layers.csv", [LayerRecord(one.round, "fc.weight", one.alive, 64, (8, 8)) for one in records]
    )
    corpus = {"name": "Things </script>", "class_names": NAMES, "rows": {"test": 9}}
    (folder / "run.json").write_text(json.dumps({"corpus": corpus, "seed": 1, "encoder": about.pop("encoder", None)}))
    torch.manual_seed(0)
    network = MultiCNN(2 + len(WORDS), 3, dim=4, filters=3, widths=[2, 3])
    mask = {name: torch.rand_like(weight) > 0.3 for name, weight in network.named_parameters()}
    Mask(mask).apply_(dict(network.named_parameters()))
    about = {
        "model": {"name": "cnn", "filters": 3, "widths": [2, 3]}, "embedding_dim": 4, "class_names": NAMES,
        "splitter": "words", "max_length": None, "round": 2, "test_acc": 0.75, "corpus": corpus["name"], **about,
    }  # fmt: skip
    tokenizer = make_tokenizer(WORDS, Splitter.words).to_str()
    RoundTicket(network.state_dict(), Mask(mask), about, tokenizer).save(ticket_path(folder, 2))
    return folder


def page_of(run: Path) -> str:
    return render_page(read_run(run), [])


def test_the_page_holds_the_smallest_winning_ticket(tmp_path: Path) -> None:
    page = page_of(make_run(tmp_path / "run"))
    data, script = re.findall("<script[^>]*>(.*?)</script>", page, re.DOTALL)
    (tmp_path / "ticket.safetensors").write_bytes(base64.b64decode(data))
    ticket = Ticket.load(tmp_path / "ticket.safetensors")
    dense = RoundTicket.load(ticket_path(tmp_path / "run", 2))
    network = MultiCNN(2 + len(WORDS), 3, dim=4, filters=3, widths=[2, 3])
    network.load_state_dict(dict(dense.weights))
    ids = torch.tensor([[2 + WORDS.index(word) for word in ("the", "red", "dog", "saw", "bread")] + [0]])
    logits = network.eval()(ids, torch.tensor([6])).detach().numpy()
    np.testing.assert_allclose(ticket.logits([TEXT]), logits, atol=1e-5)
    assert (ticket.packed.about["round"], ticket.packed.about["density"]) == (2, 0.25)
    policy = "default-src 'none'; script-src 'sha256-{}'; style-src 'unsafe-inline'; img-src data:"
    assert policy.format(base64.b64encode(sha256(script.encode()).digest()).decode()) in page
    assert page == page_of(tmp_path / "run")
    assert len(page_of(make_run(tmp_path / "other", (0.7, 0.6, 0.6)))) < len(page) - len(data) - len(script)


@pytest.mark.parametrize(
    "change", ["no winner", "no ticket", "damaged", "spacy", "encoder", "own network", "half a character", "too large"]
)
def test_without_a_small_ticket_that_a_browser_reads_there_is_no_box(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    about: dict[str, Any] = {
        "spacy": {"splitter": "spacy"}, "encoder": {"encoder": {"name": "bert"}}, "own network": {"model": "mine"},
        "half a character": {"class_names": ["\ud800", "b", "c"]},
    }.get(change, {})  # fmt: skip
    run = make_run(tmp_path / "run", (0.7, 0.6, 0.6) if change == "no winner" else (0.7, 0.8, 0.7), **about)
    if change == "no ticket":
        ticket_path(run, 2).unlink()
    if change == "damaged":
        ticket_path(run, 2).write_bytes(ticket_path(run, 2).read_bytes()[:-1])
    if change == "too large":
        monkeypatch.setattr(demo, "MOST", 1000)
    page = page_of(run)
    assert "<script" not in page and "script-src" not in page and "Try it" not in page
    assert ("--smallest-winning --html FILE" in page) == (change == "too large")


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="needs Chromium or Chrome")
def test_the_box_is_used_with_the_keyboard_and_answers_as_python_does(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (run / "report.html").write_text(page_of(run), encoding="utf-8")
    (tmp_path / "ticket.safetensors").write_bytes(base64.b64decode(re.findall('id="ticket">(.*?)<', page_of(run))[0]))
    ticket = Ticket.load(tmp_path / "ticket.safetensors")
    probabilities = ticket.predict([TEXT])[0]
    best = int(probabilities.argmax())
    with Browser(tmp_path) as browser:
        browser.open(run / "report.html")
        browser.wait_for("document.querySelector('textarea') !== null")
        browser.press("Tab")
        assert browser.evaluate("document.activeElement.id") == "text"
        browser.insert(TEXT)
        browser.wait_for(f"{ANSWER} === '{NAMES[best]}, {100 * probabilities[best]:.1f} %'")
        cells = browser.evaluate(
            "[...document.querySelectorAll('.ticket td:last-child')].map((one) => one.textContent)"
        )
        assert cells == [f"{100 * one:.1f} %" for one in probabilities]
        browser.press("Tab")
        assert browser.evaluate("document.activeElement.type") == "radio"
        told = browser.roles()
        assert {("textbox", "A text"), ("heading", "Try it"), ("heading", "Words that decided")} <= {*told}
        for width in (1200, 360):
            browser.resize(width, 800)
            assert browser.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
        assert browser.evaluate("getComputedStyle(document.querySelector('.ticket td')).borderBottomWidth") == "0px"
        asked = [
            one["params"]["request"]["url"] for one in browser.events if one["method"] == "Network.requestWillBeSent"
        ]
        assert {url.split(":")[0] for url in asked} == {"file"}
        assert [one for one in browser.events if one["method"] in ("Log.entryAdded", "Runtime.exceptionThrown")] == []
