"""Write the model card of a packed ticket: a README with a figure beside the file.

Its first lines are metadata for the Hugging Face Hub: https://huggingface.co/docs/hub/model-cards
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lt_lightning.export.card_metadata import LIBRARY, TRANSFORMERS, base_model, card_metadata
from lt_lightning.export.describing import describe_calibration
from lt_lightning.export.files import mark_of
from lt_lightning.report import facts, pages
from lt_lightning.runs.formatting import compression, percent
from lt_lightning.runs.notes import ticket_title
from lt_lightning.storage.atomic import write_whole

if TYPE_CHECKING:
    from lt_lightning.export.export import Exported


def write_card(exported: Exported) -> None:
    """Write the card of an export and its figure beside the ticket, whose file must exist."""
    from lt_lightning.report.figures.run import metric_figure
    from lt_lightning.report.figures.style import save

    run, metric = exported.run, exported.run.metric
    figure = metric_figure(
        run.compared,
        f"{metric.title} against density",
        facts.subtitle(run.description),
        metric,
        ticket=run.record(exported.packed.about["round"]),
        words=run.description.words,
    )
    save(figure, exported.places.picture)
    write_whole(exported.places.card, make_card(exported))


def make_card(exported: Exported, repo: str | None = None) -> str:
    """Return the card of an export.

    Args:
        exported: the export.
        repo: the repository on the Hub, `owner/name`, that the files are in; None for files on disk.
    """
    packed, places, wishes = exported.packed, exported.places, exported.wishes
    about, metric, margin = packed.about, exported.run.metric, wishes.margin
    chosen, began, rows = "", about.get("ticket"), about.get("rows")
    if margin is not None:
        less = f" less {margin:g} percentage point{'s' * (margin != 1)}" if margin else ""
        chosen = f"the run's sparsest ticket whose {metric.valid.name} {metric.bound} the whole network's{less}"
    parts = [f"{facts.count(count)} {part}" for part, count in rows.items()] if isinstance(rows, dict) else [facts.DASH]
    stock = wishes.hf if repo is not None else None
    name = places.ticket.name if repo is None else f"hf://{repo}/{places.ticket.name}"
    metadata = card_metadata(
        exported.run,
        about,
        name=str(about.get("experiment")) if repo is None else repo.rpartition("/")[2],
        library=LIBRARY if stock is None else TRANSFORMERS,
        licence=wishes.licence,
    )
    return pages.render(
        "model_card.md.j2",
        metadata=metadata,
        mark=mark_of(places.ticket),
        about=about,
        density=percent(1 - about["sparsity"]),
        accuracy=_share(about.get("test_acc")) or facts.DASH,
        full_accuracy=_share(about.get("full_test_acc")),
        rounded_accuracy=_share(about.get("rounded_test_acc")),
        calibration=describe_calibration(about),
        began_with=ticket_title(began.get("corpus"), began.get("round")) if began else "",
        chosen=chosen,
        compression=compression(about["alive"], about["total"]),
        licence=wishes.licence or base_model(about).licence,
        size=places.ticket.stat().st_size,
        whole=exported.whole,
        listed=len(packed.words),
        picture=places.picture.name,
        package=_package(about),
        typed=shell_name(name),
        quoted=json.dumps(name),
        hub=repo,
        stock=None if stock is None else _transformers_part(stock, about, repo),
        rows=", ".join(parts),
        began=facts.moment(about.get("started")),
    )


def _transformers_part(folder: Path, about: Mapping[str, Any], repo: str | None) -> Mapping[str, Any]:
    """Return the values of the template of the use of transformers, for its folder in a repository."""
    config = json.loads((folder / "config.json").read_bytes())
    own_code = "auto_map" in config
    return {
        "folder": json.dumps(repo),
        "network": (config.get("architectures") or [""])[0],
        "own_code": own_code,
        "averages": about["encoder"]["pooling"] == "mean" and not own_code,
        "encoder": about["encoder"],
    }


def shell_name(name: str) -> str:
    """Return a path quoted for a shell, so that no program takes it for an option."""
    return shlex.quote(f"./{name}" if name.startswith("-") else name)


def _package(about: Mapping[str, Any]) -> str:
    """Return what to install to predict with a ticket, as `pip install` takes it in a shell."""
    extras = [*["onnxruntime"] * ("encoder" in about), *["spacy"] * (about.get("splitter") == "spacy")]
    return f'"lt-lightning[{",".join(extras)}]"' if extras else "lt-lightning"


def _share(value: Any) -> str:
    return percent(value) if isinstance(value, int | float) else ""
