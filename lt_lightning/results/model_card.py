"""The model card of a packed ticket: a README beside the file, with a figure, for whoever finds the file alone.

The lines at its head are what the Hugging Face Hub reads: https://huggingface.co/docs/hub/model-cards
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from lt_lightning.results import facts
from lt_lightning.results.files import write_whole
from lt_lightning.results.runs import Run
from lt_lightning.results.tables import compression, percent
from lt_lightning.results.wording import wording_of
from lt_lightning.tickets.format import Packed

CARD = "README.md"
_MARK = "<!-- lt-lightning's model card of {name} -->"


def write_card(run: Run, packed: Packed, path: Path, dense_bytes: int) -> Path:
    """Write the card and its figure beside a ticket.

    The card is `README.md`, unless a README of something else lies there: that stays, and the card is called after the
    ticket.

    Args:
        run: the run that the ticket is of.
        packed: the ticket.
        path: its file.
        dense_bytes: what the weights of the whole network take in float32.

    Returns:
        Where the card is.

    Raises:
        OSError: it cannot be written.
    """
    from lt_lightning.results.figures import metric_figure, save_png

    figure = metric_figure(
        run.records,
        "Test accuracy against density",
        facts.subtitle(run.description),
        run.metric,
        ticket=run.records[packed.about["round"]],
        words=wording_of(run.description),
    )
    picture = path.with_name(f"{path.stem}_accuracy.png")
    save_png(figure, picture)
    card = _free_place(path)
    write_whole(card, card_text(packed, path, picture.name, dense_bytes))
    return card


def card_text(packed: Packed, path: Path, picture: str, dense_bytes: int) -> str:
    """The card, in Markdown.

    Args:
        packed: the ticket.
        path: its file, which must be there.
        picture: the name of the figure beside it.
        dense_bytes: as for `write_card`.
    """
    about, name = packed.about, shlex.quote(path.name)
    size, classes = path.stat().st_size, ", ".join(_plain(one) for one in about["class_names"])
    corpus, experiment = _plain(str(about.get("corpus"))), _plain(str(about.get("experiment")))
    header = {
        "library_name": "lt-lightning",
        "pipeline_tag": "text-classification",
        "tags": ["lottery-ticket", "pruning"],
    }
    rows = [
        ("test accuracy", _share(about.get("test_acc"))),
        ("of the whole network", _share(about.get("full_test_acc"))),
        ("weights alive", f"{about['alive']:,} of {about['total']:,} ({percent(1 - about['sparsity'])})"),
        ("compression", compression(about["alive"], about["total"])),
        (
            "file",
            f"{size:,} bytes, {percent(size / dense_bytes)} of the whole network's {dense_bytes:,}, words included",
        ),
        ("weights are", _values(about)),
        ("words", f"{len(packed.words):,} listed, of {about['words']:,}; others count as unknown"),
    ]
    origin = [
        ("corpus", f"{corpus}, {_rows(about.get('rows'))}"),
        ("network", _plain(f"{about.get('network')}, {facts.say(about.get('model'))}")),
        ("pruned", _plain(facts.say(about.get("pruning")))),
        (
            "run",
            _plain(
                f"{about.get('experiment')}, {about.get('run')}, round {about.get('round')}, seed {about.get('seed')}"
            ),
        ),
        ("began", _plain(facts.moment(about.get("started")))),
        ("versions", _plain(facts.say(about.get("versions")))),
    ]
    return f"""---
{chr(10).join(f"{key}: {json.dumps(value)}" for key, value in header.items())}
---
{_MARK.format(name=path.name)}
# {experiment}: a classifier with {percent(1 - about["sparsity"])} of its weights

It tells apart: {classes}. It is a lottery ticket, what pruning left of a network that was trained on {corpus}, and it
predicts with NumPy alone.

{_table(rows)}

![Test accuracy of the run's tickets against their density; this one is ringed]({picture})

Whoever exported it picked the round, perhaps for the test accuracy above: on new texts expect a little less. What the
corpus does not hold, the classifier has not learned; a text of any other kind still gets one of the classes.

## Use it

    python -m lt_lightning.predict {name} "a text of yours"
    python -m lt_lightning.predict {name} --jsonl < texts.txt
    python -m lt_lightning.evaluate {name} data=texts.csv

```python
from lt_lightning import Ticket

ticket = Ticket.load({json.dumps(path.name)})
ticket.predict(["a text of yours"])  # probabilities, (texts, classes)
ticket.class_names
```

Train it on other texts: `python -m lt_lightning.train pruning.ticket={name} …`. Other languages read the file as
`docs/ticket-format.md` of lt-lightning says.

## Where it comes from

{_table(origin)}
"""


def _free_place(path: Path) -> Path:
    card = path.with_name(CARD)
    try:
        ours = _MARK.format(name=path.name) in card.read_text(encoding="utf-8")
    except FileNotFoundError:
        ours = True
    except (OSError, ValueError):
        ours = False
    return card if ours else path.with_name(f"{path.stem}.README.md")


def _table(rows: list[tuple[str, str]]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def _share(value: Any) -> str:
    return percent(value) if isinstance(value, int | float) else facts.DASH


def _values(about: Any) -> str:
    if about["values"] == "float32":
        return "float32, as they were trained"
    measured = about.get("half_test_acc")
    return "float16, rounded; the test accuracy" + (
        f" with them is {percent(measured)}" if measured is not None else " is not theirs"
    )


def _rows(rows: Any) -> str:
    if not isinstance(rows, dict):
        return f"{facts.DASH} rows"
    return ", ".join(f"{facts.count(count)} {part}" for part, count in rows.items()) + " rows"


def _plain(text: str) -> str:
    """A name as Markdown and HTML show it, whatever is in it."""
    for mark in "\\`*_{}[]<>|#":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())
