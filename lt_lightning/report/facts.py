"""Put `run.json` into words. A value that is missing there is a dash here."""

import math
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from lt_lightning.runs.description import Description
from lt_lightning.runs.formatting import DASH, count, name_rounds, say, visible
from lt_lightning.runs.notes import (
    branch_line,
    debug_note,
    difference_note,
    measured_rows,
    partial_note,
    pruning_line,
    rewind_line,
    ticket_title,
    transfer_line,
)
from lt_lightning.runs.recorded import RecordedPruning
from lt_lightning.runs.records import Record


class Fact(NamedTuple):
    """A fact about a run.

    Attributes:
        name: its name on a page.
        said: its value in words, rounded or shortened to fit a page.
        value: the value itself; two facts are the same if their values are.
    """

    name: str
    said: str
    value: Any


def many(counts: Iterable[int]) -> str:
    """Return a number, or the least and the greatest of several.

    >>> many([3, 3]), many([3, 2, 3]), many([])
    ('3', '2 to 3', '0')
    """
    found = sorted(set(counts)) or [0]
    return str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"


def share(value: Any) -> str:
    """Return a fraction in per cent, and any other value like `say`."""
    return f"{100 * value:.4g} %" if isinstance(value, float) and 0 <= value <= 1 else say(value)


def moment(value: Any) -> str:
    """Return a point in time to the minute; a value that is not in ISO form, as it is.

    >>> moment("2026-11-21T21:00:12+00:00"), moment("yesterday"), moment(None)
    ('2026-11-21 21:00 UTC', 'yesterday', '–')
    """
    try:
        when = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return say(value)
    return f"{when:%Y-%m-%d %H:%M} {when.tzname() or ''}".rstrip()


def duration(seconds: float) -> str:
    """Return a duration in its two largest units.

    >>> duration(42.4), duration(2537), duration(3 * 3600 + 61)
    ('42 s', '42 min 17 s', '3 h 1 min')
    >>> duration(float("-inf"))
    '–'
    """
    if not math.isfinite(seconds):
        return DASH
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def steps_line(records: Iterable[Record]) -> str:
    """Return the budget of rounds, their numbers of optimizer steps; nothing if none has recorded it.

    >>> steps_line([])
    ''
    """
    found = sorted({record.steps for record in records if record.steps is not None})
    if not found:
        return ""
    return f"{' to '.join(f'{one:,}' for one in dict.fromkeys((found[0], found[-1])))} steps a round"


def title(description: Description) -> str:
    """Return the title of a run: its experiment, or its model and corpus."""
    return say(description.experiment or f"{say(description.model)} on {say(description.corpus.name)}")


def subtitle(description: Description, records: Sequence[Record] = ()) -> str:
    """Return a line under a figure's title: corpus, model, rewind, seed, and the steps of rounds if they are given."""
    pruning, kind = description.config.pruning, "" if description.branch is None else "branch, "
    rewind = say(pruning.rewind) if pruning.mask in (None, "pruned") else f"{say(pruning.rewind)}, mask {pruning.mask}"
    tested, steps = measured_rows(description, "test"), steps_line(records)
    return (
        f"{say(description.corpus.name)} · {say(description.model)} · {kind}rewind {rewind} · seed {seed(description)}"
        f"{steps and ' · '}{steps}{tested and ' · tested on '}{tested}"
    )


def summary(description: Description) -> str:
    """Return a run in two sentences."""
    pruning, origin = description.config.pruning, description.ticket
    chosen = f"({say(pruning.criterion)}, {say(pruning.scope)})"
    if pruning.is_single:
        rounds = f"It trains {pruning_line(pruning)} {chosen}."
    elif isinstance(pruning.amount, (list, tuple)) or pruning.amount_of == "all" or pruning.amounts:
        rounds = f"It trains {pruning_line(pruning)} {chosen}; survivors rewind ({rewind_line(pruning)})."
    else:
        rounds = (
            f"Every round prunes {share(pruning.amount)} of the weights still alive {chosen}, rewinds the others "
            f"({rewind_line(pruning)}) and trains again."
        )
    if branch := branch_line(description):
        rounds = f"A {branch}. It prunes nothing, and compares its tickets with the full network of its trunk."
    elif prunes_nothing(description):
        rounds = "It trains once, and prunes nothing."
    notes = (partial_note(description), debug_note(description), difference_note(description))
    rounds = " ".join(filter(None, (rounds, *notes)))
    rows = (description.corpus.rows or {}).get("train")
    return (
        f"{say(description.model)} on {say(description.corpus.name)}"
        f"{'' if rows is None else f', {count(rows)} {description.words.texts} to train on'}"
        f"{'' if origin is None else f', from a {ticket_title(origin.corpus, origin.round)}'}. {rounds}"
    )


def prunes_nothing(description: Description) -> bool:
    """Return whether a run trains once and prunes nothing by its settings."""
    pruning = description.config.pruning
    return description.branch is None and pruning.rounds == 0 and not pruning.is_single


def _schedule(pruning: RecordedPruning) -> list[Fact]:
    """Return when a run prunes, and how much."""
    if not pruning.is_single:
        amount, how = pruning.amount, (say if isinstance(pruning.amount, (list, tuple)) else share)
        given = {"Amount of": pruning.amount_of, "Amounts": pruning.amounts}
        return [
            _fact("Rounds", pruning.rounds, count), _fact("Amount a round", amount, how),
            *(_fact(key, value) for key, value in given.items() if value),
        ]  # fmt: skip
    keys = ("iterations", "initial", "begin", "end", "every", "drop_fraction", "grow_batches")
    given = {key.replace("_", " ").capitalize(): getattr(pruning, key) for key in keys}
    return [
        _fact("Schedule", pruning.schedule), _fact("Density", pruning.density, share),
        *(_fact(key, value) for key, value in given.items() if value is not None),
    ]  # fmt: skip


def _controls(pruning: RecordedPruning) -> dict[str, Any]:
    """Return the settings of shape and control that are not the usual ones."""
    usual = {"pattern": "unstructured", "mask": "pruned", "keep": (), "renew": ()}
    return {key: value for key, then in usual.items() if (value := getattr(pruning, key)) not in (None, then)}


def command(description: Description) -> str:
    """Return the command that runs it again, as one would type it in a shell."""
    if description.command is None:
        return DASH
    return say(shlex.join(["python", "-m", "lt_lightning.train", *description.command]))


def _words_or_encoder(about: Description) -> list[Fact]:
    """Return the facts about the vectors of words, or about the pre-trained encoder in their place."""
    encoder, vocabulary, words = about.encoder, about.vocabulary, about.words
    if encoder is None:
        return [
            _fact("Embedding", about.config.group("embedding")),
            _fact(f"{words.words.capitalize()} found in it", _part(vocabulary.embedding_found, vocabulary.words)),
        ]
    marks = {name: digest[:12] for name, digest in (encoder.digests or {}).items()}
    return [
        _fact("Encoder", encoder.name),
        *([_fact("Encoder is", encoder.note)] if encoder.note else []),
        _fact("Encoder from", encoder.source),
        _fact("SHA-256 begins with", marks),
        _fact("Pieces of a text, at most", encoder.pieces, count),
    ]


def groups(description: Description, records: Sequence[Record] = ()) -> dict[str, list[Fact]]:
    """Return all facts about a run and, if they are given, its rounds, below headings."""
    about, config, words = description, description.config, description.words
    corpus, vocabulary, pruning = about.corpus, about.vocabulary, config.pruning
    return {
        "Data": [
            _fact("Corpus", corpus.name),
            _fact("Source", corpus.source),
            _fact(words.texts.capitalize(), corpus.rows, _sizes),
            *([_fact("Measured on", note)] if (note := partial_note(about)) else []),
            *([_fact("Differs", note)] if (note := difference_note(about)) else []),
            _fact("Dropped", corpus.dropped, _sizes),
            _fact(words.many.capitalize(), corpus.class_names, _names),
            _fact("Vocabulary", f"{count(vocabulary.words)} {'pieces' if about.encoder is not None else words.words}"),
            _fact("Fingerprint", corpus.fingerprint),
            *_baseline(about),
        ],
        "Network": [
            _fact("Model", about.model),
            _fact("Parameters", about.parameters, count),
            *_words_or_encoder(about),
            _fact("Optimizer", config.group("optimizer")),
            *([_fact("Schedule", config.group("scheduler"))] if config.scheduler.name not in (None, "none") else []),
            _fact("Batch size", config.data.batch_size, count),
            _fact("Epochs a round", config.trainer.max_epochs, count),
            *([_fact("Steps", steps)] if (steps := steps_line(records)) else []),
            _fact("Tested on", f"{say(config.test_on)} epoch"),
        ],
        "Pruning": [
            *_schedule(pruning),
            _fact("Criterion", pruning.criterion),
            _fact("Scope", pruning.scope),
            _fact("Threshold", pruning.threshold),
            _fact("Rewind", pruning.rewind),
            *(_fact(key.capitalize(), value) for key, value in _controls(pruning).items()),
            *(
                [_fact("Branch of", f"{about.branch.of}, rounds {name_rounds(about.branch.rounds)}")]
                if about.branch is not None
                else []
            ),
            *([_fact("Began with", transfer_line(about.ticket) or pruning.ticket)] if pruning.ticket else []),
            _fact("Parameters in", pruning.include),
            _fact("Parameters out", pruning.exclude),
            _fact("Redrawn by random", pruning.redraw),
        ],
        "Run": [
            _fact("Seed", seed(about)),
            _fact("Device", about.device),
            *([_fact("Precision", about.precision)] if about.precision is not None else []),
            *([_fact("Processor", cpu)] if (cpu := (about.cpu or {}).get("model")) else []),
            _fact("Processes", about.processes, count),
            _fact("Started", moment(about.started)),
            _fact("Finished", moment(about.finished)),
            *([_fact("Resumed", [moment(time.at) for time in about.resumed])] if about.resumed is not None else []),
            _fact("Versions", about.versions),
        ],
    }


def _fact(name: str, value: Any, words: Callable[[Any], str] = say) -> Fact:
    return Fact(name, words(value), value)


def _names(names: Sequence[str] | None) -> str:
    return say(names and [visible(say(name)) for name in names])


def _baseline(description: Description) -> list[Fact]:
    baseline = description.shown_baseline
    if baseline is None:
        return []
    # Seeds may draw other rows, and then differ in digits that are not shown.
    return [_fact("Baseline", f"{say(baseline.name)}: {description.metric_for().show_with_unit(baseline.value)}")]


def _part(some: int | None, total: int | None) -> str:
    if some is not None and total and 0 <= some <= total:
        return f"{some:,} of {total:,} ({100 * some / total:.1f} %)"
    return count(some)


def _sizes(parts: Mapping[str, int] | None) -> str:
    return say(parts and [f"{count(size)} {part}" for part, size in parts.items()])


def seed(description: Description) -> str:
    """Return the seed of a run, with that of its data order and dropout if it is given."""
    config = description.config
    seed = say(config.seed if description.seed is None else description.seed)
    return seed if config.seed_order is None else f"{seed}, order {config.seed_order}"
