"""The model card of a packed ticket: a README beside the file, with a figure, for whoever finds the file alone.

The lines at its head are what the Hugging Face Hub reads: https://huggingface.co/docs/hub/model-cards
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from lt_lightning.export.places import Places, mark_of
from lt_lightning.report import facts
from lt_lightning.runs.metrics import ACCURACY, Metric
from lt_lightning.runs.origins import ticket_title
from lt_lightning.runs.reading import Run
from lt_lightning.runs.terminal import compression, percent
from lt_lightning.runs.wording import wording_of
from lt_lightning.storage.atomic import write_whole
from lt_lightning.tickets.file import Packed


def write_card(run: Run, packed: Packed, places: Places, whole: int, margin: float | None = None) -> None:
    """Write the card and its figure beside a ticket.

    Args:
        run: the run that the ticket is of.
        packed: the ticket.
        places: where its files go; the ticket must be there.
        whole: the bytes that the weights of the whole network take in float32.
        margin: the margin with which the ticket was chosen as the smallest winning one, in percentage points; None
            where it was chosen otherwise.

    Raises:
        OSError: it cannot be written.
    """
    from lt_lightning.report.figures.run import metric_figure, save_png

    figure = metric_figure(
        run.records,
        f"{run.metric.title} against density",
        facts.subtitle(run.description),
        run.metric,
        ticket=run.records[packed.about["round"]],
        words=wording_of(run.description),
    )
    save_png(figure, places.picture)
    write_whole(places.card, card_text(packed, places, whole, margin, run.metric))


def card_text(
    packed: Packed, places: Places, whole: int, margin: float | None = None, judged: Metric = ACCURACY
) -> str:
    """Return the card, in Markdown; arguments as for `write_card`, and `judged`, the run's metric."""
    path, about = places.ticket, packed.about
    name, corpus = shell_name(path.name), _plain(str(about.get("corpus")))
    classes = ", ".join(_plain(one) for one in about["class_names"])
    density = percent(1 - about["sparsity"])
    kind = "It is a lottery ticket, what pruning left" if about["sparsity"] else "It is all"
    if about.get("ticket"):  # what pruning left of another network, on other texts perhaps
        kind = f"It began with a {_plain(ticket_title(about['ticket']))}, and is what is left"
    header = {
        "library_name": "lt-lightning",
        "pipeline_tag": "text-classification",
        "tags": ["lottery-ticket", "pruning"],
    }
    return f"""---
{chr(10).join(f"{key}: {json.dumps(value)}" for key, value in header.items())}
---
{mark_of(path)}
# {_plain(str(about.get("experiment")))}: a classifier with {density} of its weights

It tells apart: {classes}. {kind} of a network that was trained on {corpus}, and it predicts
without torch, with NumPy and a tokenizer.

{_table(_numbers(packed, places, whole, margin, judged))}

![Test accuracy of the run's tickets against their density; this one is ringed]({places.picture.name})

If the round was picked for the test accuracy above, expect a little less on new texts. What the corpus does not hold,
the classifier has not learned; a text of any other kind still gets one of the classes.

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

Train it on other texts: `python -m lt_lightning.train pruning.ticket=FILE …`. Other languages read the file as
`docs/ticket-format.md` of lt-lightning says.

## Where it comes from

{_table(_origin(about, corpus))}
"""


def _numbers(packed: Packed, places: Places, whole: int, margin: float | None, judged: Metric) -> list[tuple[str, str]]:
    about, size = packed.about, places.ticket.stat().st_size
    return [
        ("test accuracy", _share(about.get("test_acc"))),
        *([("measured on", _plain(str(tested)))] if (tested := about.get("tested_on")) else []),
        *([("of the whole network", _share(full))] if (full := about.get("full_test_acc")) is not None else []),
        *([("chosen as", _chosen(margin, judged))] if margin is not None else []),
        ("weights alive", f"{about['alive']:,} of {about['total']:,} ({percent(1 - about['sparsity'])})"),
        ("compression", compression(about["alive"], about["total"])),
        ("file", f"{size:,} bytes, {percent(size / whole)} of the whole network's {whole:,}, words included"),
        ("weights are", _values(about)),
        ("words", f"{len(packed.words):,} listed, of {about['words']:,}; others count as unknown"),
    ]


def _origin(about: Mapping[str, Any], corpus: str) -> list[tuple[str, str]]:
    run = f"{about.get('experiment')}, {about.get('run')}, round {about.get('round')}, seed {about.get('seed')}"
    return [
        ("corpus", f"{corpus}, {_rows(about.get('rows'))}"),
        ("network", _plain(f"{about.get('network')}, {facts.say(about.get('model'))}")),
        *([("began with", _plain(ticket_title(began)))] if (began := about.get("ticket")) else []),
        *([("pruned", _plain(facts.say(about.get("pruning"))))] if about.get("round") else []),
        ("run", _plain(run)),
        ("began", _plain(facts.moment(about.get("started")))),
        ("versions", _plain(facts.say(about.get("versions")))),
    ]


def _chosen(margin: float, judged: Metric) -> str:
    """Return how the smallest winning ticket was chosen."""
    least = "the whole network's"
    if margin:
        least += f" less {margin:g} percentage point{'s' * (margin != 1)}"
    return f"the run's sparsest ticket whose {judged.valid.name} {judged.bound} {least}"


def shell_name(name: str) -> str:
    """A path as it is typed in a shell: none is taken for an option."""
    return shlex.quote(f"./{name}" if name.startswith("-") else name)


def _table(rows: list[tuple[str, str]]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def _share(value: Any) -> str:
    return percent(value) if isinstance(value, int | float) else facts.DASH


def _values(about: Mapping[str, Any]) -> str:
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
