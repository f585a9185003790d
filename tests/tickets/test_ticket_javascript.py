"""`ticket.js` in Node: the words, logits and shares of the Python package, whatever the network and the text."""

import json
import random
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packing import CNN, RNN, make_packed, write_version_1

from lt_lightning import Ticket
from lt_lightning.config.enums import Splitter
from lt_lightning.data.tokenizer import END, cutter
from lt_lightning.tickets.file import Packed
from lt_lightning.tickets.rounding import Codes
from lt_lightning.tickets.web import reader
from trials.specimens import write_packed

NODE = shutil.which("node")
SCRIPT = """
import { readFileSync, writeFileSync } from "node:fs";
import { loadTicket } from "./ticket.js";
const { tickets, texts } = JSON.parse(readFileSync("job.json", "utf8"));
const answers = [];
for (const path of tickets) {
  try {
    const ticket = await loadTicket(readFileSync(path));
    answers.push({
      classes: ticket.classNames,
      logits: ticket.logits(texts).map((one) => Array.from(one)),
      probabilities: ticket.predict(texts).map((one) => Array.from(one)),
      reasons: texts.map((text) => (text.length < 500 ? ticket.explain(text) : null)),
    });
  } catch (error) {
    answers.push({ error: error.message });
  }
}
writeFileSync("answers.json", JSON.stringify(answers));
"""
PLANES = (
    (32, 127),
    (0xA0, 0x600),
    (0x1E00, 0x2400),
    (0x2C00, 0x3100),
    (0xA640, 0xB000),
    (0x10400, 0x10D00),
    (0x1F300, 0x1F700),
)
ODD = "İΣςßŉǅﬀ\u0301\u200d\u2028\u0085\ufeff\u00ad\u3000،؟。！「」‘’–…\u202e\ud800\udfff"


def odd_texts(count: int, seed: int = 0) -> list[str]:
    """Texts of words, capitals, emoji, right-to-left and Chinese letters, marks of all kinds and halves of pairs."""
    rng = random.Random(seed)

    def piece() -> str:
        kind = rng.random()
        if kind < 0.35:
            return rng.choice(
                ["the ", "Stocks ", "WON ", "w3 ", "W5, ", "naïve ", "שלום ", "مرحبا ", "新闻 ", "👩‍👩‍👧 "]
            )
        if kind < 0.5:
            return rng.choice(ODD)
        return chr(rng.randrange(*rng.choice(PLANES)))

    texts = ["".join(piece() for _ in range(rng.randrange(1, 60))) for _ in range(count - 3)]
    # Two halves in their order are one character once a text has been JSON.
    return ["", " ", "w3", *(text.replace("\ud800\udfff", "\ud800") for text in texts)]


def known_words(texts: Sequence[str], count: int) -> list[str]:
    """The most frequent words of texts, so that a word that is cut otherwise changes the answer."""
    found = cutter(Splitter.words)(
        [text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace") for text in texts]
    )
    counts = {word: found.count(word) for word in {*found} - {"", END}}
    return sorted(counts, key=lambda word: (-counts[word], word))[:count]


def play(folder: Path, tickets: "dict[str, Packed | Path]", texts: Sequence[str]) -> "dict[str, Any]":
    assert NODE is not None
    for name, ticket in tickets.items():
        if isinstance(ticket, Packed):
            ticket.save(folder / name)
    (folder / "ticket.js").write_text(reader())
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "job.json").write_text(json.dumps({"tickets": [*tickets], "texts": [*texts]}))
    (folder / "play.js").write_text(SCRIPT)
    subprocess.run([NODE, "play.js"], cwd=folder, check=True, timeout=300)
    return dict(zip(tickets, json.loads((folder / "answers.json").read_text()), strict=True))


@pytest.mark.skipif(NODE is None, reason="needs Node")
def test_node_gives_the_answers_of_python(tmp_path: Path) -> None:
    texts = odd_texts(300)
    words = known_words(texts, 400)
    long = " ".join(words * 12)  # more windows than are computed at a time
    texts.append(long)
    letters = tuple(sorted(one for one in {*"".join(texts)} if not 0xD800 <= ord(one) < 0xE000))
    both = {"words": len(words) + 2, "unknown": True, "dim": 6}
    tickets: dict[str, Packed | Path] = {
        "cnn": make_packed(CNN, **both),
        "dense": make_packed(CNN | {"filters": [2, 4], "widths": [1, 7]}, density=1.0, **both),
        "two classes": make_packed(CNN | {"name": "binary_cnn"}, classes=2, max_length=7, **both),
        "half": make_packed(CNN, **both),
        "8 bits": make_packed(CNN | {"filters": 40}, density=0.1, temperature=2.3, **both),
        "4 bits": make_packed(RNN, temperature=0.4, **both),
        "4 bits, rows": make_packed(CNN, temperature=0.4, **both),
        "letters": make_packed(CNN, splitter="letters", words=len(letters) + 2, unknown=True),
        **{
            cell: make_packed(RNN | {"cell": cell, "bidirectional": cell != "rnn"}, density=density, **both)
            for cell, density in (("rnn", 1.0), ("gru", 0.5), ("gru_chung", 0.5), ("lstm", 0.5))
        },
    }
    for name, ticket in tickets.items():
        assert isinstance(ticket, Packed)
        bits = {"half": 16, "8 bits": 8, "4 bits": 4, "4 bits, rows": 4}.get(name, 32)
        listed = letters if name == "letters" else tuple(words) if bits > 8 else tuple(sorted(words))
        parameters = {key: one.rounded(bits) if bits < 32 else one for key, one in ticket.parameters.items()}
        if name == "4 bits, rows":  # few values of each row: a scale for each is never chosen
            one = parameters["embedding.weight"]
            scales = np.linspace(0.1, 0.2, len(words) + 2, dtype=np.float32)
            codes = Codes(4, (np.arange(len(one.values)) % 16).astype(np.uint8), scales=scales)
            parameters["embedding.weight"] = replace(one, codes=codes, values=codes.values(one.rows))
        tickets[name] = replace(ticket, words=listed, parameters=parameters)
    write_packed(tmp_path / "zero words")
    tickets["zero words"] = tmp_path / "zero words"
    write_version_1(make_packed(CNN, words=300, density=0.05), tmp_path / "version 1")
    tickets["version 1"] = tmp_path / "version 1"

    found = play(tmp_path, tickets, texts)
    for name in tickets:
        same_answers(Ticket.load(tmp_path / name), texts, found[name])


def same_answers(ticket: Ticket, texts: Sequence[str], found: "dict[str, Any]") -> None:
    assert found["classes"] == [*ticket.class_names]
    logits = ticket.logits(texts).reshape(len(texts), -1)
    np.testing.assert_allclose(found["logits"], logits, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found["probabilities"], ticket.predict(texts), rtol=1e-4, atol=1e-6)
    shown = [(text, reasons) for text, reasons in zip(texts, found["reasons"], strict=True) if reasons is not None]
    for (_, theirs), ours in zip(shown, ticket.explain([text for text, _ in shown]), strict=True):
        cut = [word["text"].encode("utf-16", "surrogatepass").decode("utf-16", "replace") for word in theirs["words"]]
        assert (theirs["method"], cut) == (ours.method, [*ours.words])
        assert [word["known"] for word in theirs["words"]] == ours.known.tolist()
        shares = np.array([word["shares"] for word in theirs["words"]]).reshape(ours.shares.shape)
        np.testing.assert_allclose(shares, ours.shares, rtol=1e-4, atol=2e-5)
        if ours.bias is not None:
            np.testing.assert_allclose(theirs["bias"], ours.bias, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(ours.shares.sum(axis=0) + ours.bias, ours.logits, rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(NODE is None, reason="needs Node")
def test_what_node_cannot_read_is_one_line(tmp_path: Path) -> None:
    packed = make_packed(CNN)
    packed.save(tmp_path / "damaged")
    content = bytearray((tmp_path / "damaged").read_bytes())
    content[-3] ^= 1
    (tmp_path / "damaged").write_bytes(content)
    (tmp_path / "text").write_text("no ticket at all")
    (tmp_path / "empty").write_bytes(b"")
    tickets = {name: tmp_path / name for name in ("damaged", "text", "empty")}
    found = play(tmp_path, {**tickets, "spacy": replace(packed, about=packed.about | {"splitter": "spacy"})}, ["a"])
    none = "these bytes are no ticket; give a file that `python -m lt_lightning.export` wrote"
    assert [found[name]["error"] for name in ("damaged", "text", "empty", "spacy")] == [
        "the ticket is damaged: its checksum is wrong", none, none,
        "the ticket splits texts with spaCy, which runs in Python alone",
    ]  # fmt: skip
