"""Sentences about a run that several programs print: how it prunes, its ticket, and partly measured numbers.

With `trainer.limit_test_batches`, numbers are of some rows of a part alone. Batches are tested from short rows to long
ones: a limit keeps the shortest, which are no fair sample.
"""

from __future__ import annotations

from collections.abc import Sequence

from lt_lightning.runs.description import Description
from lt_lightning.runs.formatting import count, name_rounds, percent, say
from lt_lightning.runs.recorded import Origin, RecordedPruning

_LIMITS = {"test": "limit_test_batches", "valid": "limit_val_batches"}
_WEIGHTS = {"first": "the first weights of its run", "trained": "its trained weights", "own": "new weights"}


def pruning_line(pruning: RecordedPruning) -> str:
    """Return when and how much a run prunes.

    >>> pruning_line(RecordedPruning(rounds=6, amount=0.5)), pruning_line(RecordedPruning(rounds=2, amount=[0.5, 0.2]))
    ('6 rounds of pruning by 0.5', '2 rounds of pruning by 0.5, 0.2')
    >>> pruning_line(RecordedPruning(rounds=0, schedule="rigl", density=0.05, pattern="2:4"))
    'one round at a density of 0.05 (rigl), pattern 2:4'
    """
    if pruning.is_single:
        density = "the density of the pattern" if pruning.density is None else f"a density of {pruning.density:g}"
        parts = [f"one round at {density} ({say(pruning.schedule)})"]
    else:
        rounds = pruning.rounds
        amounts = pruning.amount if isinstance(pruning.amount, (list, tuple)) else [pruning.amount]
        shown = ", ".join(f"{one:g}" if isinstance(one, (int, float)) else say(one) for one in amounts)
        whole = " of all entries" if pruning.amount_of == "all" else ""
        parts = [f"{count(rounds)} round{'' if rounds == 1 else 's'} of pruning by {shown}{whole}"]
    if pruning.pattern not in (None, "unstructured"):
        parts.append(f"pattern {say(pruning.pattern)}")
    if pruning.mask not in (None, "pruned"):
        parts.append(f"mask {say(pruning.mask)}")
    return ", ".join(parts)


def rewind_line(pruning: RecordedPruning) -> str:
    """Return what survivors restart from, and the parameters that do not.

    >>> rewind_line(RecordedPruning(rewind="init")), rewind_line(RecordedPruning(rewind="init", renew=("head.*",)))
    ('init', 'init, head.* drawn anew each round')
    >>> rewind_line(RecordedPruning(rewind="init", keep=("head.*",)))
    'init, head.* kept'
    """
    kept = f", {say(list(pruning.keep))} kept" if pruning.keep else ""
    renewed = f", {say(list(pruning.renew))} drawn anew each round" if pruning.renew else ""
    return f"{say(pruning.rewind)}{kept}{renewed}"


def ticket_title(corpus: str | None, number: int | None) -> str:
    """Return the name of the ticket of a round.

    >>> ticket_title("AG News", 3)
    'ticket of AG News, round 3'
    """
    return f"ticket of {say(corpus)}, round {count(number)}"


def transfer_line(origin: Origin | None) -> str:
    """Return a line about what a run took over from its ticket; nothing if it began with the whole network."""
    if origin is None:
        return ""
    parts = [_words(origin), _WEIGHTS.get(origin.weights or "", ""), _fresh(origin.fresh, origin.carried)]
    alive, total = origin.alive, origin.total
    if alive is not None and total and 0 <= alive <= total:
        parts.append(f"{percent(alive / total)} alive")
    return f"{ticket_title(origin.corpus, origin.round)}: {'; '.join(filter(None, parts))}"


def branch_line(description: Description) -> str:
    """Return a line about what a branch retrains; nothing for any other run."""
    branch, pruning = description.branch, description.config.pruning
    if branch is None:
        return ""
    tickets = "the ticket of round" if len(branch.rounds) == 1 else "the tickets of rounds"
    rounds = f"{tickets} {name_rounds(branch.rounds)} of {say(branch.of)}"
    mask = "" if pruning.mask in (None, "pruned") else f", mask {say(pruning.mask)}"
    return f"branch: {rounds}{mask}, rewind {rewind_line(pruning)}"


def _words(origin: Origin) -> str:
    """Return how many words carry over; nothing if the whole table of them does not."""
    if "embedding.weight" in (origin.fresh or ()):
        return ""
    words = origin.words
    return f"{count(words.carried)} of its {count(words.living)} living words are words here (of {count(words.here)})"


def _fresh(names: Sequence[str] | None, carried: Sequence[str] | None = None) -> str:
    """Return which parameters are whole, with weights of their own.

    >>> _fresh(["fc.weight", "fc.bias"]), _fresh([])
    ('fc.* drawn afresh', '')
    >>> _fresh(["fc.weight", "fc.bias", "convs.0.bias"], carried=["convs.0.weight"])
    'fc.*, convs.0.bias drawn afresh'
    """
    if not names:
        return ""
    parts = {name.rpartition(".")[0] for name in carried or ()}
    shown = dict.fromkeys(
        say(name) if (part := name.rpartition(".")[0]) in parts else f"{say(part)}.*" for name in names
    )
    return f"{say(list(shown))} drawn afresh"


def measured_rows(description: Description, part: str) -> str:
    """Return which rows of a part, `test` or `valid`, the numbers of a run are of; nothing if they are of all.

    >>> run = Description.from_json({"measured": {"test": 64}, "corpus": {"rows": {"test": 7600}}})
    >>> measured_rows(run, "test")
    'the 64 shortest of 7,600 test rows'

    Runs of 0.4 have not recorded how many rows were measured.

    >>> older = [Description.from_json({"config": {"trainer": {"limit_test_batches": limit}}}) for limit in (0.1, 1.0)]
    >>> [measured_rows(run, "test") for run in older]
    ['a part of the test rows, the shortest', '']
    """
    some, every = (description.measured or {}).get(part), (description.corpus.rows or {}).get(part)
    if some is not None and every is not None:
        return f"the {some:,} shortest of {every:,} {part} rows" if some < every else ""
    trainer = description.config.trainer
    limit = getattr(trainer, _LIMITS[part])
    is_all = limit is None or (isinstance(limit, float) and limit == 1)  # 1 is one batch, 1.0 are all
    return f"a part of the {part} rows, the shortest" if not is_all or trainer.fast_dev_run else ""


def debug_note(description: Description) -> str:
    """Return a sentence that marks a run for debugging; nothing for any other run.

    >>> debug_note(Description.from_json({"config": {"debug_mode": "fast"}}))
    'A run for debugging (debug=fast): its numbers are no results.'
    """
    mode = description.config.debug_mode
    return "" if mode is None else f"A run for debugging (debug={say(mode)}): its numbers are no results."


def difference_note(description: Description) -> str:
    """Return a sentence about how a built-in corpus differs from the reference corpus; nothing if it does not.

    >>> difference_note(Description.from_json({"corpus": {"name": "PyDocs", "difference": "sympy is another"}}))
    'PyDocs: sympy is another.'
    """
    corpus = description.corpus
    difference = (corpus.reading or {}).get("difference")
    return f"{say(corpus.name)}: {say(difference)}." if difference else ""


def partial_note(description: Description) -> str:
    """Return a sentence that names the numbers of a run that are of some rows alone; nothing if there are none.

    >>> partial_note(Description.from_json({"config": {"trainer": {"limit_test_batches": 5}}}))
    'Test numbers are of a part of the test rows, the shortest (trainer.limit_test_batches).'
    """
    parts = {"test": "Test", "valid": "Validation"}
    found = [(part, name, measured_rows(description, part)) for part, name in parts.items()]
    return " ".join(f"{name} numbers are of {rows} (trainer.{_LIMITS[part]})." for part, name, rows in found if rows)
