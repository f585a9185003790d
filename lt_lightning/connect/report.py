"""Draw the figures and the page of the measured rounds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lt_lightning.connect.figures import curves_figure, instability_figure
from lt_lightning.connect.records import RoundCurves
from lt_lightning.connect.wording import Wording
from lt_lightning.report import facts
from lt_lightning.report.pages import Picture, Section, Shown, render
from lt_lightning.report.run import save_picture
from lt_lightning.runs.formatting import percent
from lt_lightning.runs.reading import Run
from lt_lightning.storage.atomic import write_whole, writing_to

_ABOUT_CURVES = (
    "The error, {error}, of (1 − α) · one copy + α · the other, which lies under the mask of both. A bump between the "
    "ends is a barrier: the copies have ended in different valleys. Statistics of BatchNorm are estimated again "
    "between the ends."
)
_ABOUT_INSTABILITY = (
    "The highest error on the line between two copies minus the mean error of the two{mean}, against the share of "
    "weights alive, on a logarithmic axis: sparser to the right."
)


def draw(run: Run, folder: Path, rounds: Sequence[RoundCurves], wording: Wording) -> Path:
    """Write `connectivity.html` and its figures, each whole or not at all; return the path of the page.

    Raises:
        WriteError: the folder cannot be written.
    """
    page = folder / "connectivity.html"
    with writing_to(folder):
        (folder / "figures").mkdir(exist_ok=True)
        write_whole(page, render_connectivity(run, rounds, wording, _draw_figures(run, folder, rounds, wording)))
    return page


def _draw_figures(run: Run, folder: Path, rounds: Sequence[RoundCurves], wording: Wording) -> list[Picture]:
    subtitle = facts.subtitle(run.description)
    several = any(len(one.curves) > 1 for one in rounds)
    about = _ABOUT_INSTABILITY.format(mean=", a mean over all pairs" if several else "")
    figures = {
        "instability": (instability_figure, "Instability against density", about),
        "curves": (curves_figure, "Error on the line between copies", _ABOUT_CURVES.format(error=wording.error)),
    }
    return [
        save_picture(draw(rounds, wording, title, subtitle), folder / "figures" / name, f"{title}: {subtitle}", caption)
        for name, (draw, title, caption) in figures.items()
    ]


def render_connectivity(run: Run, rounds: Sequence[RoundCurves], wording: Wording, pictures: Sequence[Picture]) -> str:
    """Return the page as one HTML document, the same text for the same rounds and pictures."""
    description = run.description
    return render(
        "connectivity.html.j2",
        name=facts.title(description),
        lede=(
            f"Copies of {facts.say(description.model)} on {facts.say(description.corpus.name)} train from the weights "
            "that a round trained from, under its mask, in another order of the data each. This page shows whether "
            "they end in one valley."
        ),
        note=f"Seed {facts.seed(description)} · rewind {facts.say(description.config.pruning.rewind)} · "
        f"{facts.many(len(one.tickets) for one in rounds)} copies a round · error: {wording.error}",
        tiles=_tiles(rounds, wording),
        pictures=pictures,
        table=_table(rounds, wording),
        facts={
            "Measured": [
                ("Rounds", facts.say([one.round for one in rounds])),
                ("Copies", facts.many(len(one.tickets) for one in rounds)),
                ("Points on a line", facts.many(len(one.curves[0].alphas) for one in rounds)),
                ("Error", wording.error),
                ("Parts", facts.say(list(dict.fromkeys(part for one in rounds for part in one.parts)))),
            ],
            "Run": [
                ("Directory", facts.say(run.folder.resolve().name)),
                ("Corpus", facts.say(description.corpus.name)),
                ("Model", facts.say(description.model)),
                ("Rewind", facts.say(description.config.pruning.rewind)),
                ("Seed", facts.seed(description)),
            ],
        },
    )


def _tiles(rounds: Sequence[RoundCurves], wording: Wording) -> list[tuple[str, str, str]]:
    """Return the label, the value and the explanation of each headline."""
    first, last = rounds[0], rounds[-1]
    worst = max(rounds, key=lambda one: one.instability(one.part))

    def about(one: RoundCurves) -> str:
        return f"instability on the {one.part} part in round {one.round}, with {percent(one.density)} of the weights"

    tiles = [("Densest round", wording.points(first.instability(first.part)), about(first))]
    if len(rounds) > 1:
        tiles.append(("Sparsest round", wording.points(last.instability(last.part)), about(last)))
        tiles.append(("Least stable round", wording.points(worst.instability(worst.part)), about(worst)))
    if wording.is_share:
        stable = [one for one in rounds if wording.verdict(one) == "stable"]
        said = f"round{'s' * (len(stable) > 1)} {', '.join(str(one.round) for one in stable)}" if stable else "none"
        tiles.append(("Stable rounds", f"{len(stable)} of {len(rounds)}", f"below 2 points on the judged part: {said}"))
    return tiles


def _table(rounds: Sequence[RoundCurves], wording: Wording) -> Section:
    rows: list[dict[str, Any]] = []
    for one in rounds:
        row: dict[str, Any] = {"round": one.round, "density": percent(one.density), "pairs": len(one.curves)}
        for name, part in zip(("judged", "train"), one.parts, strict=True):
            row |= {
                f"instability_{name}": wording.cell(one.instability(part)),
                f"error_{name}": wording.show(one.ends(part)),
            }
        rows.append({**row, "verdict": wording.verdict(one)})
    judged = rounds[0].part
    columns = [Shown(name, name) for name in ("round", "density", "pairs")]
    for name, part in (("judged", judged), ("train", "train")):
        columns += [
            Shown(f"instability, {part}", f"instability_{name}"),
            Shown(f"error, {part}", f"error_{name}"),
        ]
    columns.append(Shown("", "verdict", is_text=True))
    unit = " in percentage points" if wording.is_share else ""
    note = f"Instability{unit}, and the mean error of the copies themselves, {wording.error}; means over pairs."
    return Section("Rounds", rows, columns, note)
