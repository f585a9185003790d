"""The report of a run as a page that stands alone: no script, nothing fetched."""

from collections.abc import Sequence
from html import escape

from lt_lightning.report import facts, frame
from lt_lightning.report.examples import examples_section
from lt_lightning.runs.confusion import class_accuracies, classes_of, count_confusion, too_many
from lt_lightning.runs.metrics import Metric, metric_note
from lt_lightning.runs.origins import origin_of, ticket_title
from lt_lightning.runs.reading import Run
from lt_lightning.runs.records import LayerRecord, Record, format_shape
from lt_lightning.runs.terminal import compression, measured, percent, round_cells, round_columns
from lt_lightning.runs.winners import best_ticket, is_winner, smallest_winner, telling_rounds
from lt_lightning.runs.wording import Wording, wording_of

_FOOTER = (
    "Drawn by lt-lightning from results.csv, layers.csv and run.json of this run. The figures lie beside this page, "
    "in the folder figures, as PNG and SVG."
)


def render_page(run: Run, pictures: Sequence[frame.Picture]) -> str:
    """The report of a run as one HTML document.

    Args:
        run: what the run has left behind so far.
        pictures: the figures, in their order on the page.

    Returns:
        The same text whenever run and pictures are the same.
    """
    words = wording_of(run.description)
    name, summary = facts.title(run.description), facts.summary(run.description)
    sections = [
        frame.headlines(_tiles(run, words), _picked(run, words)),
        frame.pictures(pictures),
        _rounds(run.records, run.metric, words),
        examples_section(run),
        _classes(run),
        _parameters(run.layers),
        _what_ran(run),
        f"<h2>Run it again</h2>\n<pre><code>{escape(facts.command(run.description))}</code></pre>",
        frame.listing("Damaged files", run.damages),
    ]
    return frame.document(frame.Opening(name, "Lottery-ticket report", summary, _progress(run)), sections, _FOOTER)


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


def _tiles(run: Run, words: Wording) -> list[tuple[str, str, str]]:
    records, metric = run.records, run.metric
    nothing = "no round has pruned" if facts.prunes_nothing(run.description) else "no round has pruned yet"
    full, last = records[0], records[-1]
    best, winner = best_ticket(records, metric), smallest_winner(records, metric)

    def said(record: Record) -> str:
        return measured(metric.read(record), metric)

    weights = f"all {full.total:,} weights" if full.alive == full.total else f"{percent(full.density)} of the weights"
    tiles = [(_capital(words.full), said(full), f"{metric.name} with {weights}")]
    if best is None:
        tiles.append(("Best ticket", facts.DASH, nothing))
    else:
        tiles.append(
            (
                "Best ticket",
                said(best),
                f"{metric.name} in round {best.round} with {percent(best.density)} of the weights",
            )
        )
    if winner is None:
        none = f"no ticket does as well as the {words.full} on the validation part" if len(records) > 1 else nothing
        tiles.append((_capital(words.winner), facts.DASH, none))
    else:
        tiles.append(
            (
                _capital(words.winner),
                percent(winner.density),
                f"of the weights, {_times(winner.alive, winner.total)} smaller: "
                f"{said(winner)} {metric.name} in round {winner.round}",
            )
        )
    tiles.append(
        (
            "Last round",
            said(last),
            f"{metric.name} in round {last.round} with {percent(last.density)} of the weights",
        )
    )
    return tiles


def _picked(run: Run, words: Wording) -> str:
    metric, origin = run.metric, origin_of(run.description)
    chosen_by = metric.valid.name
    about = f"A winning ticket is a pruned network whose {chosen_by} {metric.bound} the {words.full}'s."
    if origin is not None:
        about = (
            f"The run began with a {escape(ticket_title(origin))}. As good as that is a ticket that was pruned further "
            f"and whose {chosen_by} {metric.bound} {metric.that} of round 0."
        )
    if note := metric_note(run.description, run.records):
        about += f" {escape(note)}"
    if len(run.records) == 1:
        return about
    return (
        f"{about} Both tickets are chosen by {chosen_by} and reported by {metric.name}, which had no part in the "
        "choice. They are of one run; several seeds show how much is chance."
    )


def _times(alive: int, total: int) -> str:
    return compression(alive, total).replace("x", "×")


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _rounds(records: Sequence[Record], metric: Metric, wording: Wording) -> str:
    words = {0: wording.full}
    words |= {record.round: wording.wins for record in records if is_winner(record, records[0], metric)}
    best, winner = best_ticket(records, metric), smallest_winner(records, metric)
    if best is not None:
        words[best.round] = "best"
    if winner is not None:
        words[winner.round] = "best, smallest" if winner is best else wording.smallest
    marked = '<tr class="winner">'
    rows = [
        f"{marked if record is winner else '<tr>'}{frame.cells(round_cells(record, metric))}"
        f'<td class="word">{words.get(record.round, "")}</td></tr>'
        for record in records
    ]
    columns = round_columns(metric)
    return f"<h2>Rounds</h2>\n{frame.table([*columns, 'ticket'], rows, (len(columns),))}"


def _classes(run: Run) -> str:
    """Each class's accuracy in the rounds that the figure of confusions shows."""
    rounds, words = shown_rounds(run), wording_of(run.description)
    if not rounds:
        return ""
    counts = {round_: count_confusion(run.confusion, round_) for round_ in rounds}
    classes = classes_of(run.description, *counts.values())
    columns = [class_accuracies(of_round, list(classes)) for of_round in counts.values()]
    rows = [
        (classes[row[0].number], f"{row[0].rows:,}", *(percent(one.accuracy) for one in row))
        for row in zip(*columns, strict=True)
    ]
    heads = [f"{title}, round {round_}" for round_, title in rounds.items()]
    table = frame.text_table([words.one, words.tested, *heads], rows, (0,))
    note = f"The share of each {words.one}'s {words.tested} that was taken for what it is."
    return (
        f"<h2>{words.right.capitalize()} of each {words.one}</h2>\n{table}\n"
        f'<p class="note">{note}{too_many(len(classes), words.many)}</p>'
    )


def shown_rounds(run: Run) -> dict[int, str]:
    """The rounds whose confusion is worth a look, and what they are: the full network and its smallest winner.

    Where no ticket wins, the best one; none where `confusion.csv` lacks round 0.
    """
    tested = {row.round for row in run.confusion}
    rounds = telling_rounds(run.records, run.metric, wording_of(run.description))
    return {round_: title for round_, title in rounds.items() if round_ in tested} if 0 in tested else {}


def _parameters(layers: Sequence[LayerRecord]) -> str:
    last = max((layer.round for layer in layers), default=0)
    left = [layer for layer in layers if layer.round == last]
    alive, total = sum(layer.alive for layer in left), sum(layer.total for layer in left)
    if not total:
        return ""
    rate = f"Compression rate {_times(alive, total)}, {percent((total - alive) / total)} pruned."
    whole = ("all together", f"{alive:,}", f"{total:,}", percent(alive / total), f"{total - alive:,}", "")
    rows = [f"<tr>{frame.cells(_parameter_cells(layer), (0, 5))}</tr>" for layer in left]
    columns = ("parameter", "alive", "total", "density", "pruned", "shape")
    return f"""<h2>Parameters after round {last}</h2>
{frame.table(columns, rows, (0, 5), frame.cells(whole, (0, 5)))}
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
    groups = {heading: [fact[:2] for fact in found] for heading, found in facts.groups(run.description).items()}
    groups["Run"].append(("Directory", facts.say(run.folder.resolve().name)))
    return frame.fact_sheet("What ran", groups)
