"""The report as a page that stands alone: no script, nothing fetched, everything that users named escaped."""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources

from lt_lightning.results import facts
from lt_lightning.results.records import LayerRecord, Record, best_ticket, format_shape, smallest_winner
from lt_lightning.results.runs import Run
from lt_lightning.results.tables import ROUND_COLUMNS, compression, percent, round_cells

# Even if something slipped through the escapes, the browser would neither run nor fetch it.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@dataclass(frozen=True)
class Picture:
    """A figure on the page: the SVG, what it shows (for those who do not see it) and how to read it."""

    svg: str
    shows: str
    caption: str


def render_page(run: Run, pictures: Sequence[Picture]) -> str:
    """The report of a run as one HTML document.

    Args:
        run: what the run has left behind so far.
        pictures: the figures, in their order on the page.

    Returns:
        The same text whenever run and pictures are the same.
    """
    name = facts.title(run.description)
    sections = [
        _headlines(run.records),
        *(_picture(number, picture) for number, picture in enumerate(pictures, 1)),
        _rounds(run.records),
        _parameters(run.layers),
        _what_ran(run),
        f"<h2>Run it again</h2>\n<pre><code>{escape(facts.command(run.description))}</code></pre>",
    ]
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(name)} – lottery-ticket report</title>
<style>
{resources.files("lt_lightning.results").joinpath("page.css").read_text(encoding="utf-8")}</style>
</head>
<body>
<main>
<header>
<p class="eyebrow">Lottery-ticket report</p>
<h1>{escape(name)}</h1>
<p class="lede">{escape(facts.summary(run.description))}</p>
<p class="note">{escape(_progress(run))}</p>
</header>
{chr(10).join(sections)}
<footer>Drawn by lt-lightning from results.csv, layers.csv and run.json of this run. The figures lie beside this page,
in the folder figures, as PNG and SVG.</footer>
</main>
</body>
</html>
"""


def _progress(run: Run) -> str:
    planned, device = (facts.look_up(run.description, path) for path in ("config.pruning.rounds", "device"))
    trained = facts.duration(sum(record.seconds for record in run.records))
    done = (
        f"Seed {facts.seed(run.description)} · round {run.records[-1].round} of {facts.count(planned)} · "
        f"{trained} on {facts.say(device)}"
    )
    if facts.look_up(run.description, "finished"):
        return done
    return f"{done} · not finished: the run is still going, or was stopped"


def _headlines(records: Sequence[Record]) -> str:
    full, best, winner, last = records[0], best_ticket(records), smallest_winner(records), records[-1]
    tiles = [("Full network", percent(full.test_acc), f"test accuracy with all {full.total:,} weights")]
    if best is None:
        tiles.append(("Best ticket", facts.DASH, "no round has pruned yet"))
    else:
        tiles.append(
            (
                "Best ticket",
                percent(best.test_acc),
                f"test accuracy in round {best.round} with {percent(best.density)} of the weights",
            )
        )
    if winner is None:
        tiles.append(("Smallest winning ticket", facts.DASH, "no ticket does as well as the full network"))
    else:
        tiles.append(
            (
                "Smallest winning ticket",
                percent(winner.density),
                f"of the weights, {_times(winner.alive, winner.total)} smaller: "
                f"{percent(winner.test_acc)} test accuracy in round {winner.round}",
            )
        )
    tiles.append(
        (
            "Last round",
            percent(last.test_acc),
            f"test accuracy in round {last.round} with {percent(last.density)} of the weights",
        )
    )
    cells = "\n".join(
        f'<div><dt>{label}</dt><dd class="value">{value}</dd><dd class="about">{about}</dd></div>'
        for label, value, about in tiles
    )
    return f"""<dl class="headlines">
{cells}
</dl>
<p class="note">A winning ticket is a pruned network whose test accuracy is at least the full network's. Both
tickets are picked by test accuracy from one run, so chance has a share in them; several seeds tell how large
a share.</p>"""


def _times(alive: int, total: int) -> str:
    return compression(alive, total).replace("x", "×")


def _picture(number: int, picture: Picture) -> str:
    # As a data URI and not inline: ids within one SVG cannot meet those of another, and nothing in it can act.
    data = base64.b64encode(picture.svg.encode()).decode()
    return f"""<figure>
<div class="picture"><img alt="{escape(picture.shows)}" src="data:image/svg+xml;base64,{data}"></div>
<figcaption><b>Figure {number}.</b> {escape(picture.caption)}</figcaption>
</figure>"""


def _row(cells: Iterable[str], texts: Sequence[int], tag: str = "td") -> str:
    """Cells of a row; those at the positions `texts` hold words and not numbers."""
    return "".join(
        f'<{tag} class="text">{escape(cell)}</{tag}>' if i in texts else f"<{tag}>{escape(cell)}</{tag}>"
        for i, cell in enumerate(cells)
    )


def _rounds(records: Sequence[Record]) -> str:
    words = {0: "full network"}
    for record in records[1:]:
        if record.test_acc >= records[0].test_acc:
            words[record.round] = "wins"
    best, winner = best_ticket(records), smallest_winner(records)
    if best is not None:
        words[best.round] = "best"
    if winner is not None:
        words[winner.round] = "best, smallest" if winner is best else "smallest winner"
    marked = '<tr class="winner">'
    body = "\n".join(
        f"{marked if record is winner else '<tr>'}{_row(round_cells(record), ())}"
        f'<td class="word">{words.get(record.round, "")}</td></tr>'
        for record in records
    )
    return f"""<h2>Rounds</h2>
<div class="scroll"><table>
<thead><tr>{_row([*ROUND_COLUMNS, "ticket"], (len(ROUND_COLUMNS),), "th")}</tr></thead>
<tbody>
{body}
</tbody>
</table></div>"""


def _parameters(layers: Sequence[LayerRecord]) -> str:
    last = max((layer.round for layer in layers), default=0)
    left = [layer for layer in layers if layer.round == last]
    body = "\n".join(f"<tr>{_row(_parameter_cells(layer), (0, 5))}</tr>" for layer in left)
    alive, total = sum(layer.alive for layer in left), sum(layer.total for layer in left)
    if not total:
        return ""
    rate = f"Compression rate {_times(alive, total)}, {percent((total - alive) / total)} pruned."
    whole = ("all together", f"{alive:,}", f"{total:,}", percent(alive / total), f"{total - alive:,}", "")
    return f"""<h2>Parameters after round {last}</h2>
<div class="scroll"><table>
<thead><tr>{_row(("parameter", "alive", "total", "density", "pruned", "shape"), (0, 5), "th")}</tr></thead>
<tbody>
{body}
</tbody>
<tfoot><tr>{_row(whole, (0, 5))}</tr></tfoot>
</table></div>
<p class="note">{rate}</p>"""


def _parameter_cells(layer: LayerRecord) -> tuple[str, ...]:
    return (
        layer.parameter,
        f"{layer.alive:,}",
        f"{layer.total:,}",
        percent(layer.density),
        f"{layer.total - layer.alive:,}",
        format_shape(layer.shape).replace("x", " × "),
    )


def _what_ran(run: Run) -> str:
    groups = facts.groups(run.description)
    groups["Run"].append(("Directory", facts.say(run.folder.resolve().name)))
    sections = "\n".join(
        f"<section><h3>{heading}</h3>\n<dl>"
        + "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in entries)
        + "</dl></section>"
        for heading, entries in groups.items()
    )
    return f'<h2>What ran</h2>\n<div class="facts">\n{sections}\n</div>'
