"""Write the report of a run as a page that stands alone: nothing fetched, no script but that of its ticket."""

from collections.abc import Sequence
from typing import Any

from lt_lightning.report import facts
from lt_lightning.report.demo import find_demo
from lt_lightning.report.examples import example_sections
from lt_lightning.report.pages import Picture, Section, Shown, render
from lt_lightning.runs.blocks import block_note, shown_parameters
from lt_lightning.runs.confusion import class_accuracies, classes_of, count_confusion, too_many
from lt_lightning.runs.formatting import compression, percent
from lt_lightning.runs.notes import ticket_title
from lt_lightning.runs.reading import Run
from lt_lightning.runs.records import LayerRecord, Record, format_shape
from lt_lightning.runs.terminal import round_columns
from lt_lightning.runs.winners import best_ticket, is_winner, smallest_winner, telling_rounds


def render_page(run: Run, pictures: Sequence[Picture]) -> str:
    """Return the report of a run as one HTML document, the same text for the same run and pictures.

    Args:
        run: the run, which may still be going.
        pictures: the figures, in their order on the page.
    """
    origin = run.description.ticket
    groups: dict[str, list[Any]] = {**facts.groups(run.description, run.records)}
    groups["Run"] = [*groups["Run"], ("Directory", facts.say(run.folder.resolve().name))]
    return render(
        "run.html.j2",
        name=facts.title(run.description),
        lede=facts.summary(run.description),
        note=_progress(run),
        tiles=_tiles(run),
        demo=find_demo(run),
        pictures=pictures,
        metric=run.metric,
        metric_note=run.description.metric_note(run.compared),
        words=run.description.words,
        origin=origin and ticket_title(origin.corpus, origin.round),
        is_single=run.description.config.pruning.is_single,
        columns=[*(column.heading for column in round_columns(run.metric)), "ticket"],
        rounds=_rounds(run),
        examples=example_sections(run),
        classes=_classes(run),
        parameters=_parameters(run.layers),
        facts=groups,
        command=facts.command(run.description),
        damages=run.damages,
    )


def _progress(run: Run) -> str:
    plan, device = run.description.plan, run.description.device
    trained = facts.duration(sum(record.seconds for record in run.records))
    title = plan.title(run.records[-1].round)
    if plan.chosen is None:
        title = f"{title} of {facts.count(run.description.config.pruning.rounds)}"
    steps = facts.steps_line(run.records)
    done = f"Seed {facts.seed(run.description)} · {title} · {steps}{steps and ' · '}{trained} on {facts.say(device)}"
    return done if run.description.finished else f"{done} · not finished: the run is still going, or was stopped"


def _tiles(run: Run) -> list[tuple[str, str, str]]:
    """Return the label, the value and the explanation of each headline."""
    records, metric, words = run.compared, run.metric, run.description.words
    nothing = "no round has pruned" if facts.prunes_nothing(run.description) else "no round has pruned yet"
    full, last = run.full, run.records[-1]
    best, winner = best_ticket(records, metric), smallest_winner(records, metric)
    if len(records) > 1:
        nothing = f"no ticket has a {metric.valid.name}"

    def about(record: Record) -> str:
        return f"{metric.name} in round {record.round} with {percent(record.density)} of the weights"

    weights = f"all {full.total:,} weights" if full.alive == full.total else f"{percent(full.density)} of the weights"
    density = facts.DASH
    about_winner = f"no ticket does as well as the {words.full} on the validation part" if len(records) > 1 else nothing
    if winner is not None:
        density, times = percent(winner.density), _times(winner.alive, winner.total)
        value = metric.test.cell(winner)
        about_winner = f"of the weights, {times} smaller: {value} {metric.name} in round {winner.round}"
    first = (words.full.capitalize(), metric.test.cell(full), f"{metric.name} with {weights}")
    if run.description.config.pruning.is_single and run.has_own_full:  # there are no other rounds
        return [first]
    return [
        first,
        ("Best ticket", metric.test.cell(best) if best else facts.DASH, about(best) if best else nothing),
        (words.winner.capitalize(), density, about_winner),
        ("Last round", metric.test.cell(last), about(last)),
    ]


def _times(alive: int, total: int) -> str:
    return compression(alive, total).replace("x", "×")


def _rounds(run: Run) -> list[tuple[list[str], str, bool]]:
    """Return of each round the cells of its row, a word about its ticket, and whether it is the smallest winner."""
    records, metric, wording = run.records, run.metric, run.description.words
    words = {0: wording.full}
    words |= {record.round: wording.wins for record in records if is_winner(record, run.full, metric)}
    best, winner = best_ticket(records, metric), smallest_winner(run.compared, metric)
    if best is not None:
        words[best.round] = "best"
    if winner is not None:
        words[winner.round] = "best, smallest" if winner is best else wording.smallest
    columns = round_columns(metric)
    return [
        ([one.cell(record) for one in columns], words.get(record.round, ""), record is winner) for record in records
    ]


def _classes(run: Run) -> Section:
    """Return each class's accuracy in the rounds that the figure of confusions shows."""
    rounds, words = shown_rounds(run), run.description.words
    counts = {round_: count_confusion(run.confusion, round_) for round_ in rounds}
    classes = classes_of(run.description, *counts.values()) if rounds else {}
    rows = {number: {"class": name} for number, name in classes.items()}
    for round_, of_round in counts.items():
        for one in class_accuracies(of_round, list(classes)):
            rows[one.number] |= {"rows": f"{one.rows:,}", str(round_): percent(one.accuracy)}
    columns = [Shown(words.one, "class", is_text=True), Shown(words.tested, "rows")]
    columns += [Shown(f"{title}, round {round_}", str(round_)) for round_, title in rounds.items()]
    note = f"The share of each {words.one}'s {words.tested} that are recognized.{too_many(len(classes), words.many)}"
    return Section(f"{words.right.capitalize()} of each {words.one}", list(rows.values()), columns, note)


def shown_rounds(run: Run) -> dict[int, str]:
    """Return the rounds whose confusions are shown, and their titles; none if `confusion.csv` lacks round 0.

    They are the full network and its smallest winner or, if no ticket wins, the best one. A branch may have no full
    network of its own.
    """
    tested = {row.round for row in run.confusion}
    rounds = telling_rounds(run.compared, run.metric, run.description.words)
    is_there = 0 in tested or run.description.branch is not None
    return {round_: title for round_, title in rounds.items() if round_ in tested} if is_there else {}


def _parameters(layers: Sequence[LayerRecord]) -> Section:
    """Return a row for each parameter in the last round, and below one for all."""
    last = max((layer.round for layer in layers), default=0)
    left = [layer for layer in layers if layer.round == last]
    whole = LayerRecord(last, "all together", sum(one.alive for one in left), sum(one.total for one in left), ())

    def row(one: LayerRecord, shape: str) -> dict[str, str]:
        return {
            "parameter": one.parameter, "alive": f"{one.alive:,}", "total": f"{one.total:,}",
            "density": percent(one.density), "pruned": f"{one.total - one.alive:,}", "shape": shape.replace("x", " × "),
        }  # fmt: skip

    foot = row(whole, "")
    columns = [Shown(name, name, is_text=name in ("parameter", "shape")) for name in foot]
    note = f"Compression rate {_times(whole.alive, whole.total)}, {percent(1 - whole.density)} pruned."
    shown = shown_parameters(left) if whole.total else []
    rows = [row(one, "" if one.parameter.endswith(".*") else format_shape(one.shape)) for one in shown]
    return Section(f"Parameters after round {last}", rows, columns, f"{note} {block_note(left)}".rstrip(), foot)
