"""Describe an export in lines for the screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from lt_lightning.export.files import Places
from lt_lightning.export.shrinking import Cut
from lt_lightning.report.facts import DASH
from lt_lightning.runs.formatting import percent

if TYPE_CHECKING:
    from lt_lightning.tickets.encoder.file import PackedEncoder
    from lt_lightning.tickets.file import Packed


def describe_cuts(cuts: Sequence[Cut]) -> Iterator[str]:
    """Yield lines about what was cut, the last of the cuts being that of the parameters."""
    if not cuts:
        yield "shrunk   nothing to cut: every filter or hidden unit, dimension and word can change an answer"
        return
    for number, cut in enumerate(cuts):
        yield f"{'' if number else 'shrunk':9}{cut}"
    yield f"         bytes of dense float32 weights {4 * cuts[-1].before:,} → {4 * cuts[-1].after:,}"


def describe_files(packed: Packed | PackedEncoder, places: Places, whole: int) -> Iterator[str]:
    """Yield lines that describe the ticket."""
    about, size = packed.about, places.ticket.stat().st_size
    full, half = about["full_test_acc"], about.get("half_test_acc")
    yield f"ticket   {places.ticket}"
    yield f"         {size:,} bytes, {percent(size / whole)} of the whole network's {whole:,}"
    yield f"         {about['alive']:,} of {about['total']:,} weights alive ({percent(1 - about['sparsity'])})"
    beside = "" if full is None else f"; the whole network {percent(full)}"
    reached = about.get("test_acc")  # None if it was not measured
    accuracy = DASH if reached is None else percent(reached)
    yield f"accuracy {accuracy} on {about.get('tested_on') or 'the test split'}{beside}"
    if half is not None:
        yield f"         {percent(half)} with weights rounded to float16, on the whole test split"
    yield f"card     {places.card}"
