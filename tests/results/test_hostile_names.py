"""Whatever users name – classes, runs, folders, settings, texts – is words on every page and figure, and never acts."""

import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from lt_lightning.report.__main__ import main

MakeRun = Callable[..., Path]

HOSTILE = (
    "<script>alert(1)</script>", "\"><img src=x onerror='alert(1)'>", "</style></title></svg><svg onload=alert(1)>",
    "' onmouseover='alert(1)", "javascript:alert(1)", "]]><!--<a href='http://evil.example'>&lt;b&gt;",
)  # fmt: skip
EVIL = " ".join(HOSTILE)
# What the pages are made of; nothing in them links, loads or runs.
TAGS = {
    "html", "head", "meta", "title", "style", "body", "main", "header", "footer", "section", "figure", "figcaption",
    "div", "p", "h1", "h2", "h3", "dl", "dt", "dd", "ul", "li", "table", "thead", "tbody", "tfoot", "tr", "th", "td",
    "pre", "code", "b", "bdi", "img", "mark", "span", "details", "summary",
}  # fmt: skip
ATTRIBUTES = {"lang", "charset", "name", "content", "http-equiv", "class", "alt", "src", "style", "title"}


class Elements(HTMLParser):
    """The elements and their attributes as a browser would take them, and the words between."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.others: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data

    def handle_comment(self, data: str) -> None:
        self.others.append(data)

    def handle_pi(self, data: str) -> None:
        self.others.append(data)


def hostile(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: hostile(item) for key, item in value.items()} | {EVIL: EVIL}
    if isinstance(value, list):
        return [*(hostile(item) for item in value), *HOSTILE]
    return EVIL if isinstance(value, str) else value


@pytest.fixture
def runs(make_run: MakeRun, description: dict[str, Any], tmp_path: Path) -> Path:
    """A folder of two runs, hostile throughout, that differ in a setting."""
    examples = [(text, EVIL, text[::-1]) for text in HOSTILE]
    changes = hostile(description) | {"baseline": {"name": EVIL, "value": 0.5}}
    for i, name in enumerate(("<script>alert(2)<b>", "\"><img src=x onerror='alert(2)'>")):
        config = {**changes["config"], "model": {"name": f"{i}{EVIL}"}}
        run = make_run(2, name=f"runs/{name}", changes=changes | {"config": config}, confusion=True, examples=examples)
        layers = run / "layers.csv"
        quoted = EVIL.replace('"', '""')
        layers.write_text(layers.read_text().replace("fc.bias", f'"{quoted}"'))
    return tmp_path / "runs"


def acting(page: Path) -> Iterator[str]:
    """Whatever of a page is not among what pages are made of."""
    elements = Elements(page.read_text(encoding="utf-8"))
    yield from (f"<!{other}>" for other in elements.others)
    for tag, attributes in elements.found:
        if tag not in TAGS or not attributes.keys() <= ATTRIBUTES:
            yield f"<{tag} {attributes}>"
        if tag == "img" and not (attributes.get("src") or "").startswith("data:image/svg+xml;base64,"):
            yield f"<img {attributes}>"


def drawn(figures: Path) -> Iterator[tuple[str, str]]:
    """Every element of the figures that could act, by the file, and every address that is not within the file."""
    for path in figures.glob("*.svg"):
        for element in ElementTree.parse(path).iter():
            tag = element.tag.rpartition("}")[2]
            if tag in ("script", "a", "image", "foreignObject", "iframe", "animate", "set", "handler"):
                yield path.name, tag
            for name, value in element.attrib.items():
                bare = name.rpartition("}")[2]
                outside = bare == "href" and not value.startswith("#")
                if bare.startswith("on") or outside or re.search(r"url\((?!#)", value):
                    yield path.name, f"{name}={value}"


@pytest.mark.slow
def test_the_report_of_a_run_shows_hostile_names_as_words(runs: Path) -> None:
    run = min(runs.iterdir())
    assert main([str(run)]) == 0
    assert list(acting(run / "report.html")) == []
    assert len(list((run / "figures").glob("*.svg"))) == 4
    assert list(drawn(run / "figures")) == []
    words = Elements((run / "report.html").read_text(encoding="utf-8")).words
    assert all(text in words for text in (*HOSTILE, run.name))


@pytest.mark.slow
def test_a_comparison_shows_hostile_names_as_words(runs: Path) -> None:
    assert main([str(runs)]) == 0
    assert list(acting(runs / "report.html")) == []
    assert list((runs / "figures").glob("*.svg"))
    assert list(drawn(runs / "figures")) == []
    words = Elements((runs / "report.html").read_text(encoding="utf-8")).words
    assert HOSTILE[0] in words
    assert all(run.name in words for run in runs.iterdir() if (run / "run.json").exists())


def test_what_is_hostile_would_be_found(runs: Path, tmp_path: Path) -> None:
    description = json.loads((min(runs.iterdir()) / "run.json").read_text())
    (tmp_path / "page.html").write_text(f"<p>{description['experiment']}</p>")
    assert len(list(acting(tmp_path / "page.html"))) >= 3
    svg = '<svg xmlns="http://www.w3.org/2000/svg" onload="x"><script/><use href="http://evil.example"/></svg>'
    (tmp_path / "figure.svg").write_text(svg)
    assert len(list(drawn(tmp_path))) == 3
