"""The page stands alone, says what the run's files say, and believes nothing that users named."""

import base64
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from jinja2 import UndefinedError

from lt_lightning.report import facts
from lt_lightning.report.pages import Picture, environment, render
from lt_lightning.report.run_page import render_page
from lt_lightning.runs.reading import read_run

MakeRun = Callable[..., Path]
PICTURE = Picture("<svg xmlns='http://www.w3.org/2000/svg'/>", "What it shows", "How to read it.")
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Every element with its attributes, its words, and whether elements are closed in the order of opening."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "title"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def page_of(run: Path, *pictures: Picture) -> str:
    return render_page(read_run(run), pictures)


def tables(text: str) -> list[list[list[str]]]:
    return [
        [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr[^>]*>(.*?)</tr>", table)]
        for table in re.findall(r"<table>(.*?)</table>", text, re.DOTALL)
    ]


def test_the_page_has_the_headline_numbers(make_run: MakeRun) -> None:
    text = Page(page_of(make_run())).text
    assert "Full network 80.00 % test accuracy with all 544 weights" in text
    assert "Best ticket 85.00 % test accuracy in round 1 with 79.96 % of the weights" in text
    # 544 entries, of which round 3 keeps 256 + 20 + 2 = 278.
    assert "Smallest winning ticket 51.10 % of the weights, 1.96× smaller: 80.00 % test accuracy in round 3" in text
    assert "Last round 60.00 % test accuracy in round 4" in text


def test_the_table_of_rounds_holds_every_round(make_run: MakeRun) -> None:
    rounds, _ = tables(page_of(make_run()))
    assert [row[0] for row in rounds] == ["round", "0", "1", "2", "3", "4"]
    assert [row[8] for row in rounds[1:]] == ["80.00 %", "85.00 %", "79.00 %", "80.00 %", "60.00 %"]
    assert [row[-1] for row in rounds] == ["ticket", "full network", "best", "", "smallest winner", ""]


def test_the_table_of_parameters_is_the_last_rounds(make_run: MakeRun) -> None:
    text = page_of(make_run(rounds=2))
    _, parameters = tables(text)
    assert parameters == [
        ["parameter", "alive", "total", "density", "pruned", "shape"],
        ["embedding.weight", "400", "500", "80.00 %", "100", "50 × 10"],
        ["fc.weight", "32", "40", "80.00 %", "8", "4 × 10"],
        ["fc.bias", "3", "4", "75.00 %", "1", "4"],
        ["all together", "435", "544", "79.96 %", "109", ""],
    ]
    assert "Parameters after round 1" in text
    assert "Compression rate 1.25×, 20.04 % pruned." in text


def test_the_page_says_what_ran_and_how_to_run_it_again(make_run: MakeRun) -> None:
    text = Page(page_of(make_run(name="2026-11-21_210000"))).text
    for said in (
        "multi_cnn on AG News, 84,000 texts to train on.",
        "Every round prunes 20 % of the weights still alive (magnitude, layerwise), rewinds the others (init)",
        "Seed 7 · round 4 of 4 · 51 s on cpu (2 threads)",
        "Texts 84,000 train, 36,000 valid, 7,600 test",
        "Classes World, Sports",
        "Words found in it 40 of 50 (80.0 %)",
        "Optimizer adam, lr 0.001",
        "Started 2026-11-21 21:00 UTC",
        "Versions torch 2.13.0",
        "Directory 2026-11-21_210000",
        "python -m lt_lightning.train +experiment=lt_agnews 'data.path=a folder'",
    ):
        assert said in text
    assert "not finished" not in text


def test_a_run_that_is_still_going_says_so(make_run: MakeRun) -> None:
    text = Page(page_of(make_run(rounds=1, changes={"finished": None}))).text
    assert "round 0 of 4" in text
    assert "not finished" in text
    assert "Best ticket – no round has pruned yet" in text


def test_no_winner_is_said(make_run: MakeRun) -> None:
    run = make_run(rounds=3)
    rows = (run / "results.csv").read_text().replace(",0.85,", ",0.75,")
    (run / "results.csv").write_text(rows)
    assert "Smallest winning ticket – no ticket does as well" in Page(page_of(run)).text


def test_pictures_are_numbered_and_in_the_page(make_run: MakeRun) -> None:
    page = Page(page_of(make_run(), PICTURE, PICTURE))
    images = [attributes for tag, attributes in page.elements if tag == "img"]
    assert [image["alt"] for image in images] == ["What it shows"] * 2
    for image in images:
        head, data = (image["src"] or "").split(",")
        assert head == "data:image/svg+xml;base64"
        assert base64.b64decode(data).decode() == PICTURE.svg
    assert "Figure 1. How to read it." in page.text
    assert "Figure 2. How to read it." in page.text


def test_nothing_is_fetched_and_nothing_runs(make_run: MakeRun) -> None:
    text = page_of(make_run(), PICTURE)
    page = Page(text)
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in page.elements}
    for tag, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "srcset", "data", "action", "background"):
            assert (attributes.get(name) or "data:").startswith("data:"), (tag, attributes)
    assert "://" not in text
    assert "@import" not in text
    assert "url(" not in text
    policy = next(a["content"] for tag, a in page.elements if tag == "meta" and "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none';")


@pytest.mark.parametrize("changes", ["empty", "nulls", "numbers", "lists", "surrogates"])
def test_a_description_of_any_shape_gives_a_page(make_run: MakeRun, description: dict[str, Any], changes: str) -> None:
    value = {"empty": {}, "nulls": None, "numbers": -1.5, "lists": [[], {}], "surrogates": "\ud800"}[changes]
    run = make_run(changes=dict.fromkeys(description, value))
    assert "80.00 %" in Page(page_of(run)).text
    page_of(run).encode()
    (run / "run.json").write_text("{}")
    text = Page(page_of(run)).text
    assert "– on –. Every round prunes –" in text
    assert "Seed – · round 4 of –" in text


def test_many_classes_are_counted() -> None:
    said = facts.say([f"class {number}" for number in range(1000)])
    assert said.startswith("class 0, class 1, ")
    assert said.endswith("class 19, … (1000 in all)")


def test_every_page_is_rendered_with_escapes_and_refuses_a_missing_value() -> None:
    pages = environment().list_templates(extensions=["j2"])
    assert {"run.html.j2", "comparison.html.j2", "evaluation.html.j2"} < {*pages}
    for page in pages:
        made = environment().get_template(page)
        assert made.environment.autoescape(page) == page.endswith(".html.j2")
        source = (made.filename and Path(made.filename).read_text(encoding="utf-8")) or ""
        assert source and "| safe" not in source and "autoescape" not in source
    with pytest.raises(UndefinedError, match="undefined"):
        render("model_card.md.j2")
