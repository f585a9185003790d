"""The page of a ticket in Chromium, from disk and without a network."""

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from packing import CNN, RNN, make_packed
from test_ticket_javascript import known_words, odd_texts

from benchmarks.browsing import BROWSER, Browser
from lt_lightning import Ticket
from lt_lightning.tickets.web import page

pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="needs Chromium or Chrome")]

TEXTS = odd_texts(2000, seed=1)
NAMES = ["<b>animals</b>", "food", "tools"]
ANSWER = "document.querySelector('#answer').textContent"


def save(path: Path, model: "dict[str, object]" = CNN) -> Ticket:
    words = known_words(TEXTS, 500)
    packed = make_packed(model, words=len(words) + 2, unknown=True)
    packed = replace(packed, words=tuple(words), about=packed.about | {"class_names": NAMES, "test_acc": 0.75})
    packed.save(path.with_suffix(".safetensors"))
    path.write_text(page(path.with_suffix(".safetensors").read_bytes(), "A </title> & more"))
    return Ticket.load(path.with_suffix(".safetensors"))


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with Browser(tmp_path) as started:
        yield started


def test_a_page_answers_as_python_does_and_asks_no_network(tmp_path: Path, browser: Browser) -> None:
    for name, model in (("cnn", CNN), ("rnn", RNN)):
        ticket = save(tmp_path / f"{name}.html", model)
        browser.open(tmp_path / f"{name}.html")
        browser.wait_for("window.ticket !== undefined")
        found = browser.evaluate(f"ticket.logits({json.dumps(TEXTS)}).map((one) => Array.from(one))")
        np.testing.assert_allclose(found, ticket.logits(TEXTS), rtol=1e-5, atol=1e-5)
        asked = {
            one["params"]["request"]["url"] for one in browser.events if one["method"] == "Network.requestWillBeSent"
        }
        assert asked == {(tmp_path / f"{name}.html").as_uri()}
        assert [one for one in browser.events if one["method"] in ("Log.entryAdded", "Runtime.exceptionThrown")] == []
        assert browser.evaluate("document.title") == "A </title> & more"


def test_a_page_is_used_with_the_keyboard_and_read_aloud(tmp_path: Path, browser: Browser) -> None:
    ticket = save(tmp_path / "page.html")
    browser.open(tmp_path / "page.html")
    browser.wait_for("document.querySelector('textarea') !== null")
    browser.press("Tab")
    assert browser.evaluate("document.activeElement.id") == "text"
    text = "the Stocks WON, شلوم the naïve 👩‍👩‍👧"
    browser.insert(text)
    probabilities = ticket.predict([text])[0]
    best = int(probabilities.argmax())
    browser.wait_for(f"{ANSWER} === '{NAMES[best]}, {100 * probabilities[best]:.1f} %'")

    browser.press("Tab")
    browser.press("ArrowDown")
    other = (best + 1) % 3
    reasons = ticket.explain([text])[0]
    shares = reasons.of_class(other)
    order = np.argsort(-np.abs(shares), kind="stable")
    listed = browser.evaluate("[...document.querySelectorAll('.deciding li')].map((one) => one.textContent)")
    strong = [at for at in order if abs(shares[at]) > 0.05 * abs(shares).max()][:10]
    assert listed == [f"{reasons.words[at]} {'−' if shares[at] < 0 else '+'}{abs(shares[at]):.2f}" for at in strong]
    told = browser.roles()
    assert ("textbox", "A text") in told
    assert ("radio", f"reasons for {NAMES[other]}") in told
    assert ("heading", "Words that decided") in told
    assert "<b>animals</b>" in browser.evaluate("document.querySelector('table').textContent")
    for width in (1200, 360):
        browser.resize(width, 800)
        assert browser.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


def test_a_file_comes_back_as_a_table(tmp_path: Path, browser: Browser) -> None:
    ticket = save(tmp_path / "page.html")
    rows = [["1", 'the "Stocks", the', "x"], ["2", "WON\nw3 the", ""], ["3", "", "y"]]
    with (tmp_path / "own.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["number", "Text", "note"], *rows])
    (tmp_path / "lines.txt").write_text("the WON\n\nStocks the\n")
    (tmp_path / "picture.txt").write_bytes(b"\x89PNG\0\xff")
    (tmp_path / "odd.csv").write_text('text\na "b" c"\n')
    (tmp_path / "saved").mkdir()
    browser.open(tmp_path / "page.html")
    browser.wait_for("document.querySelector('#file') !== null")
    browser.keep_downloads(tmp_path / "saved")

    def classify(name: str) -> list[list[str]]:
        browser.choose("#file", tmp_path / name)
        link = f"document.querySelector('.file a[download^={name.partition('.')[0]}]')"
        saved = tmp_path / "saved" / browser.wait_for(f"{link} && {link}.download")
        browser.evaluate(f"{link}.click()")
        for _ in range(3000):
            if saved.exists() and saved.read_bytes().endswith(b"\r\n"):
                break
            browser.evaluate("new Promise((go) => setTimeout(go, 20))")
        with saved.open(newline="") as file:
            return [*csv.reader(file)]

    for name, texts, before in (
        ("own.csv", [row[1] for row in rows], [["number", "Text", "note"], *rows]),
        ("lines.txt", ["the WON", "Stocks the"], [["text"], ["the WON"], ["Stocks the"]]),
    ):
        table = classify(name)
        width = len(before[0])
        assert [row[:width] for row in table] == before
        probabilities = ticket.predict(texts)
        assert [row[width] for row in table[1:]] == [NAMES[place] for place in probabilities.argmax(axis=1)]
        np.testing.assert_allclose([[*map(float, row[width + 1 :])] for row in table[1:]], probabilities, atol=2e-6)

    for name, message in (
        ("picture.txt", "picture.txt is no text in UTF-8; drop a .txt or .csv file"),
        ("odd.csv", "row 2 has a quote in the middle of a cell, or none at its end; put such cells in quotes"),
    ):
        browser.choose("#file", tmp_path / name)
        assert browser.wait_for("document.querySelector('.file .fault')?.textContent") == message
        browser.evaluate("document.querySelector('.file .fault').className = ''")


def test_a_text_of_ten_megabytes_is_classified(tmp_path: Path, browser: Browser) -> None:
    ticket = save(tmp_path / "page.html")
    browser.open(tmp_path / "page.html")
    browser.wait_for("document.querySelector('textarea') !== null")
    text = "the Stocks WON, 新闻 " * 500_000
    probabilities = ticket.predict([text])[0]
    best = int(probabilities.argmax())
    browser.evaluate(
        "const box = document.querySelector('textarea'); box.value = 'the Stocks WON, 新闻 '.repeat(500000);"
        "box.dispatchEvent(new Event('input'))"
    )
    browser.wait_for(f"{ANSWER} === '{NAMES[best]}, {100 * probabilities[best]:.1f} %'")
    note = browser.evaluate("[...document.querySelectorAll('.quiet')].map((one) => one.textContent).join()")
    assert "The text has 2,500,000 words; the first 2,000 are shown." in note
