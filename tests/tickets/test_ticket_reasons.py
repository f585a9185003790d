"""The shares of words: sums, sides, lines, JSON and pages."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from packing import CNN, RNN, make_packed

from lt_lightning import Ticket
from lt_lightning.errors import SettingError
from lt_lightning.export.export import Wishes
from lt_lightning.export.standalone import check_runnable
from lt_lightning.predict import main
from lt_lightning.tickets.reasons import deciding

TEXTS = ["w3 w4, W5 and w6 w7", "w2", "", "nothing known here", "w8 " * 20, "  w3\n<b>w5</b>"]


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("density", [0.2, 1.0])
def test_the_shares_of_a_convolution_are_what_a_word_adds_to_its_windows(density: float, classes: int) -> None:
    model = CNN if classes > 2 else CNN | {"name": "binary_cnn"}
    packed = make_packed(model, density=density, classes=classes)
    ticket = Ticket(packed)
    for text, found in zip(TEXTS, ticket.explain(TEXTS), strict=True):
        assert found.bias is not None
        np.testing.assert_allclose(found.shares.sum(axis=0) + found.bias, found.logits, atol=1e-5)
        shares, bias = by_hand(packed, ticket.ids([text])[0])
        np.testing.assert_allclose(found.shares, shares, atol=1e-5)
        np.testing.assert_allclose(found.bias, bias, atol=1e-5)
        if classes == 2:
            np.testing.assert_array_equal(found.of_class(0), -found.of_class(1))
    assert ticket.explain(["w3 W4,"])[0].words == ("w3", "W4", ",")


def by_hand(packed: object, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The shares, filter by filter and window by window."""
    weights = {name: one.dense() for name, one in packed.parameters.items()}  # pyright: ignore[reportAttributeAccessIssue]
    vectors, fc = weights["embedding.weight"][ids].astype(float), weights["fc.weight"]
    shares, bias, feature = np.zeros((len(ids), len(fc))), weights["fc.bias"].astype(float), 0
    for conv in range(2):
        for filter, offset in zip(weights[f"convs.{conv}.weight"], weights[f"convs.{conv}.bias"], strict=True):
            width = filter.shape[1]
            values = [
                sum(vectors[at + tap] @ filter[:, tap] for tap in range(width) if at + tap < len(ids))
                for at in range(max(1, len(ids) - width + 1))
            ]
            best = int(np.argmax(values))
            if values[best] + offset > 0:
                bias += fc[:, feature] * offset
                for tap in range(min(width, len(ids) - best)):
                    shares[best + tap] += fc[:, feature] * (vectors[best + tap] @ filter[:, tap])
            feature += 1
    return shares, bias


def test_the_shares_of_a_recurrence_are_what_is_lost_without_the_word() -> None:
    ticket = Ticket(make_packed(RNN))
    text = "w3 w4 w5 unknown w6"
    found = ticket.explain([text, ""])
    words = text.split()
    without = [" ".join(words[:place] + words[place + 1 :]) for place in range(len(words))]
    np.testing.assert_allclose(found[0].shares, ticket.logits([text]) - ticket.logits(without), atol=1e-5)
    assert (found[0].method, found[0].bias, found[0].words) == ("leave-one-out", None, tuple(words))
    assert found[1].shares.shape == (0, 3)


def test_words_are_where_they_stand_in_the_text() -> None:
    packed = make_packed(CNN, splitter="letters", max_length=3)
    letters = Ticket(replace(packed, words=tuple("abcdefgh"[: len(packed.words)]))).explain(["a\n👩b c", "\ud800a"])
    assert [one.spans for one in letters] == [((0, 1), (1, 2), (2, 3)), ((0, 1), (1, 2))]
    limited = Ticket(make_packed(CNN, max_length=4)).explain(["  w3, İX…w5\nw6 w7"])[0]
    assert limited.words == ("w3", ",", "İX", "…")
    assert [limited.text[start:end] for start, end in limited.spans] == [*limited.words]


def test_the_command_names_the_words_that_decided(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = make_packed(CNN, density=1.0)
    packed.save(tmp_path / "pets.safetensors")
    ticket = Ticket.load(tmp_path / "pets.safetensors")
    text = "w3 w4 and w5 <b>"
    found = ticket.explain([text])[0]
    best = int(ticket.predict([text])[0].argmax())
    name, shares = ticket.class_names[best], found.of_class(best)

    assert main([str(tmp_path / "pets.safetensors"), "--explain", text]) == 0
    answer, _, words = capsys.readouterr().out.rstrip("\n").rpartition("\t")
    assert answer == f"{name}\t{ticket.predict([text])[0][best]:.4f}"
    order = np.argsort(-np.abs(shares), kind="stable")[:5]
    assert words.split(", ") == [
        f"{found.words[at]} {'−' if shares[at] < 0 else '+'}{abs(shares[at]):.2f}"
        for at in order if abs(shares[at]) >= 0.05 * np.abs(shares).max()
    ]  # fmt: skip
    assert deciding(found, best, 1) == [(found.words[order[0]], float(shares[order[0]]))]

    page = tmp_path / "why.html"
    assert main([str(tmp_path / "pets.safetensors"), "--explain", "--jsonl", "--html", str(page), text]) == 0
    reasons = json.loads(capsys.readouterr().out)["reasons"]
    assert [text[one["start"] : one["end"]] for one in reasons["words"]] == [one["word"] for one in reasons["words"]]
    total = sum(one["shares"][name] for one in reasons["words"]) + reasons["bias"][name]
    assert total == pytest.approx(ticket.logits([text])[0][best], abs=1e-4)
    written = page.read_text()
    assert "&lt;b" in written
    assert written.count("<section>") == 1
    strongest = found.words[order[0]]
    assert f'title="{"−" if shares[order[0]] < 0 else "+"}{abs(shares[order[0]]):.2f}">{strongest}</span>' in written


def test_a_ticket_of_another_kind_is_refused() -> None:
    packed, wishes = make_packed(CNN), Wishes(html=Path("a.html"))
    with pytest.raises(SettingError, match=r"--html: spaCy, .* data\.tokenizer=words"):
        check_runnable(replace(packed, about=packed.about | {"splitter": "spacy"}), wishes)
    check_runnable(packed, wishes)
