"""An evaluation has the words behind the most confident mistakes, and those that carry each class."""

import json
import re
from html import unescape
from pathlib import Path

import pytest
from packing import CNN, RNN, make_packed

from lt_lightning import Ticket
from lt_lightning.evaluate import reasons
from lt_lightning.evaluate.evaluation import Evaluated, as_json, evaluate_ticket
from lt_lightning.evaluate.report import render_evaluation
from lt_lightning.evaluate.request import read_request

TEXTS = ["w3 w4, W5 <b>", "w2 w6 w7\x07 w8", "w8 w2 \u202e w3", "w5 w6 " * 700]


def evaluate(folder: Path, model: "dict[str, object]" = CNN) -> tuple[Ticket, Evaluated]:
    """Evaluate a ticket on texts that all have another class than it gives."""
    ticket = Ticket(make_packed(model, density=1.0, class_names=["one", "two", "three"]))
    wrong = [ticket.class_names[(place + 1) % 3] for place in ticket.predict(TEXTS).argmax(axis=1).tolist()]
    rows = [json.dumps({"text": text, "label": label}) for text, label in zip(TEXTS, wrong, strict=True)]
    (folder / "texts.jsonl").write_text("\n".join(rows))
    return ticket, evaluate_ticket(ticket, "pets.safetensors", read_request([f"data={folder / 'texts.jsonl'}"]))


def test_a_mistake_is_marked_for_what_it_was_taken_for_and_names_the_words_of_both_classes(tmp_path: Path) -> None:
    ticket, evaluated = evaluate(tmp_path)
    page, said = render_evaluation(evaluated, []), as_json(evaluated)
    assert "<script" not in page and "\u202e" not in page and "\x07" not in page
    assert len(said["mistakes"]) == len(TEXTS)
    for mistake in said["mistakes"]:
        text = TEXTS[mistake["row"] - 1]
        (found,) = ticket.explain([text])
        for key in ("predicted", "label"):
            shares = found.of_class(ticket.class_names.index(mistake[key]))
            least = 0.05 * abs(shares).max()
            for_class = sorted((share for share in shares.tolist() if share > 0 and share >= least), reverse=True)[:5]
            assert [one["share"] for one in mistake["reasons"][key]] == for_class
            line = ", ".join(f"{one['word']} +{one['share']:.2f}" for one in mistake["reasons"][key])
            assert f"for {mistake[key]}: {line}" in unescape(re.sub("<[^>]+>", "", page))
        place = ticket.class_names.index(mistake["predicted"])
        strongest = abs(found.of_class(place)).argmax()
        side = "for" if found.of_class(place)[strongest] > 0 else "against"
        share = f"{found.of_class(place)[strongest]:+.2f}".replace("-", "−")
        assert f'class="{side}" style="background-color:rgba(var(--{side}),0.45)" title="{share}">' in page
    assert "… 4,200 letters in all" in page


def test_the_words_of_a_class_are_on_the_page_with_their_sums(tmp_path: Path) -> None:
    ticket, evaluated = evaluate(tmp_path)
    page = re.sub(r"\s+", " ", unescape(re.sub("<[^>]+>", "", render_evaluation(evaluated, []))))
    explained = ticket.explain(TEXTS)
    for place, words in enumerate(as_json(evaluated)["class_words"]):
        for one in words:
            total = sum(
                share
                for found in explained
                for word, share in zip(found.words, found.of_class(place).tolist(), strict=True)
                if word.lower() == one["word"]
            )
            assert one["sum"] == pytest.approx(total, abs=1e-3)
            assert one["texts"] == sum(one["word"] in map(str.lower, found.words) for found in explained)
            assert f"{one['word']} +{one['sum']:,.1f} ({one['texts']})" in page


def test_a_recurrent_ticket_has_reasons_of_short_texts_and_no_words_of_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reasons, "READ_AGAIN", 5)
    ticket, evaluated = evaluate(tmp_path, RNN)
    said = as_json(evaluated)
    assert said["class_words"] is None
    for mistake in said["mistakes"]:
        text = TEXTS[mistake["row"] - 1]
        is_short = len(ticket.ids([text])[0]) <= 5
        assert (mistake["reasons"] or {}).get("method") == ("leave-one-out" if is_short else None)
    page = render_evaluation(evaluated, [])
    assert "no sum over words" in page and "Words that carry each class</h2>" not in page
    assert "how much the score of the class falls without the word" in page
    assert "Texts of more than" in page


def test_without_reasons_the_page_says_why() -> None:
    from lt_lightning.evaluate.showing import about_classes, about_reasons

    assert about_reasons(None).startswith("The words of a pre-trained encoder have no shares")
    assert about_classes(None) == ""
