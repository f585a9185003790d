"""Write the model card of a packed ticket: a README with a figure beside the file.

Its first lines are metadata for the Hugging Face Hub: https://huggingface.co/docs/hub/model-cards
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from lt_lightning.export.files import Places, mark_of
from lt_lightning.report import facts, pages
from lt_lightning.runs.formatting import compression, percent
from lt_lightning.runs.notes import ticket_title
from lt_lightning.runs.reading import Run
from lt_lightning.storage.atomic import write_whole
from lt_lightning.tickets.encoder.file import PackedEncoder
from lt_lightning.tickets.file import Packed


def write_card(
    run: Run, packed: Packed | PackedEncoder, places: Places, whole: int, margin: float | None = None
) -> None:
    """Write the card and its figure beside a ticket.

    Args:
        run: the ticket's run.
        packed: the ticket.
        places: the paths of its files; the ticket's must exist.
        whole: the size of the whole network's weights in float32, in bytes.
        margin: the margin by which the ticket was chosen as the smallest winning one, in percentage points; None if it
            was chosen otherwise.
    """
    from lt_lightning.report.figures.run import metric_figure
    from lt_lightning.report.figures.style import save

    about, metric = packed.about, run.metric
    figure = metric_figure(
        run.compared,
        f"{metric.title} against density",
        facts.subtitle(run.description),
        metric,
        ticket=run.record(about["round"]),
        words=run.description.words,
    )
    save(figure, places.picture)
    chosen, began, rows = "", about.get("ticket"), about.get("rows")
    if margin is not None:
        less = f" less {margin:g} percentage point{'s' * (margin != 1)}" if margin else ""
        chosen = f"the run's sparsest ticket whose {metric.valid.name} {metric.bound} the whole network's{less}"
    parts = [f"{facts.count(count)} {part}" for part, count in rows.items()] if isinstance(rows, dict) else [facts.DASH]
    card = pages.render(
        "model_card.md.j2",
        mark=mark_of(places.ticket),
        about=about,
        density=percent(1 - about["sparsity"]),
        accuracy=_share(about.get("test_acc")) or facts.DASH,
        full_accuracy=_share(about.get("full_test_acc")),
        half_accuracy=_share(about.get("half_test_acc")),
        began_with=ticket_title(began.get("corpus"), began.get("round")) if began else "",
        chosen=chosen,
        compression=compression(about["alive"], about["total"]),
        size=places.ticket.stat().st_size,
        whole=whole,
        listed=len(packed.words),
        picture=places.picture.name,
        package=_package(about),
        typed=shell_name(places.ticket.name),
        quoted=json.dumps(places.ticket.name),
        rows=", ".join(parts),
        began=facts.moment(about.get("started")),
    )
    write_whole(places.card, card)


def shell_name(name: str) -> str:
    """Return a path quoted for a shell, so that no program takes it for an option."""
    return shlex.quote(f"./{name}" if name.startswith("-") else name)


def _package(about: Mapping[str, Any]) -> str:
    """Return what to install to predict with a ticket, as `pip install` takes it in a shell."""
    extras = [*["onnxruntime"] * ("encoder" in about), *["spacy"] * (about.get("splitter") == "spacy")]
    return f'"lt-lightning[{",".join(extras)}]"' if extras else "lt-lightning"


def _share(value: Any) -> str:
    return percent(value) if isinstance(value, int | float) else ""
