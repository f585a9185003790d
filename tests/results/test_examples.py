"""What tickets make of some texts is shown as it is: wrong letters marked, nothing acting, nothing unseen."""

import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lt_lightning.report.examples import example_sections, letters
from lt_lightning.report.pages import environment
from lt_lightning.report.run_page import render_page
from lt_lightning.runs.csv_files import write_records
from lt_lightning.runs.reading import Run, read_run
from lt_lightning.runs.records import ExampleRecord

MakeRun = Callable[..., Path]
HELLO = ("hihell", "ihello", "ihelll")


def macro(name: str, value: Any) -> str:
    return getattr(environment().get_template("macros.html.j2").module, name)(value)


def text_html(text: str, expected: str = "") -> str:
    return macro("letters", letters(text, expected))


def section_of(run: Path) -> str:
    return macro("examples", example_sections(read_run(run)))


def headings(section: str) -> list[str]:
    return re.findall(r"<h3>(.*?)</h3>", section)


def test_a_run_without_examples_has_no_section(make_run: MakeRun) -> None:
    run = read_run(make_run())
    assert run.examples == ()
    assert macro("examples", example_sections(run)) == ""
    assert "Examples" not in render_page(run, [])


def test_the_full_network_the_smallest_winner_and_the_last_round_are_shown(make_run: MakeRun) -> None:
    run = make_run(examples=[HELLO])
    section = section_of(run)
    assert section in render_page(read_run(run), [])
    assert headings(section) == [
        "Full network, round 0: 100.00 % alive",
        "Smallest winning ticket, round 3: 51.10 % alive",
        "Last round, round 4: 40.99 % alive",
    ]


def test_no_round_is_shown_twice(make_run: MakeRun) -> None:
    assert len(headings(section_of(make_run(name="one", rounds=1, examples=[HELLO])))) == 1
    last_wins = make_run(name="last", accuracies=(0.8, 0.9), examples=[HELLO])
    assert [heading.partition(",")[0] for heading in headings(section_of(last_wins))] == [
        "Full network",
        "Smallest winning ticket",
    ]
    none_wins = make_run(name="none", accuracies=(0.8, 0.7, 0.6), examples=[HELLO])
    assert [heading.partition(":")[0] for heading in headings(section_of(none_wins))] == [
        "Full network, round 0",
        "Best ticket, none wins, round 1",
        "Last round, round 2",
    ]


def test_of_many_examples_eight_are_shown(make_run: MakeRun) -> None:
    section = section_of(make_run(1, examples=[(f"given {i}", "a", "a") for i in range(20)]))
    assert section.count("<bdi>given") == 8
    assert "given 7<" in section


def test_wrong_letters_are_marked_in_place() -> None:
    assert text_html("ihelll", "ihello") == "<bdi>ihell<mark>l</mark></bdi>"
    assert text_html("ihello", "ihello") == "<bdi>ihello</bdi>"
    assert text_html("ihello!?", "ihello") == "<bdi>ihello<mark>!?</mark></bdi>"
    assert text_html("xhe", "ihello") == '<bdi><mark>x</mark>he</bdi> <span class="aside">3 letters missing</span>'
    assert text_html("a\nb", "a b") == "<bdi>a<mark>↵\n</mark>b</bdi>"


@given(st.text(), st.text(min_size=1))
def test_marks_are_the_places_that_differ(answer: str, expected: str) -> None:
    said = text_html(answer, expected)
    marked = sum(a != b for a, b in zip(answer, expected, strict=False)) + max(0, len(answer) - len(expected))
    assert ("<mark>" in said) == (marked > 0)
    assert ("missing</span>" in said) == (len(answer) < len(expected))


@given(st.text(st.characters() | st.sampled_from("<>&\"'\r\n\x00\u202e\ud800"), max_size=50))
def test_every_letter_of_a_text_is_seen_and_none_acts(text: str) -> None:
    said = text_html(text)
    said.encode()
    inside = said.removeprefix("<bdi>").removesuffix("</bdi>")
    assert not re.search(r"<(?!span class=\"aside\">|/span>)", inside)
    assert all(letter.isprintable() or letter in "\t\n" for letter in inside)
    if text.replace("\n", "").replace("\t", "").isprintable():
        assert html.unescape(inside) == text


def test_a_text_without_an_end_is_cut() -> None:
    assert len(text_html("x" * 100_000)) < 1100
    assert "… 100,000 letters in all" in text_html("x" * 100_000)
    assert "… 100,000 letters in all" in text_html("x" * 100_000, "x")


def test_where_nothing_is_expected_there_is_no_column_for_it_and_no_mark(make_run: MakeRun) -> None:
    section = section_of(make_run(1, examples=[("the ", "", "the <b>end</b>\n")]))
    assert re.findall(r"<th class[^>]*>(.*?)</th>", section) == ["given", "answer"]
    assert "<bdi>the </bdi>" in section
    assert "<bdi>the &lt;b&gt;end&lt;/b&gt;\n</bdi>" in section
    assert "mark" not in section


def examples_of(run: Path) -> tuple[Run, tuple[ExampleRecord, ...]]:
    read = read_run(run)
    return read, read.examples


def test_examples_of_a_round_that_has_no_row_yet_are_passed_over(make_run: MakeRun) -> None:
    run = make_run(2, examples=[HELLO])
    rows = [ExampleRecord(round_, *HELLO) for round_ in range(3)]
    write_records(run / "examples.csv", rows)
    assert examples_of(run)[1] == tuple(rows[:2])


@pytest.mark.parametrize("cut", [1, 4])
def test_damaged_examples_are_named_and_those_before_are_shown(make_run: MakeRun, cut: int) -> None:
    run = make_run(2, examples=[("a\nb", '"', "c\r")])
    whole = (run / "examples.csv").read_bytes()
    (run / "examples.csv").write_bytes(whole[:-cut])
    read, examples = examples_of(run)
    assert examples == (ExampleRecord(0, "a\nb", '"', "c\r"),)
    (damage,) = read.damages
    assert damage.startswith(f"{run / 'examples.csv'}: line ")
    assert "Damaged files" in render_page(read, [])
