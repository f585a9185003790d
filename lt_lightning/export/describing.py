"""Describe an export in lines for the screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lt_lightning.export.files import Places
from lt_lightning.export.shrinking import Cut
from lt_lightning.report.facts import DASH
from lt_lightning.runs.formatting import loss, percent

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


def describe_calibration(about: Mapping[str, Any]) -> str:
    """Return a ticket's temperature and what it changes, in a line; empty if it has none."""
    found = about.get("calibration")
    if not found:
        return ""
    losses, errors = (map(show, found[key]) for key, show in (("log_loss", loss), ("calibration_error", percent)))
    return (
        f"temperature {about['temperature']:g}: on {found['rows']:,} validation rows log loss {' → '.join(losses)}, "
        f"calibration error {' → '.join(errors)}"
    )


def describe_files(packed: Packed | PackedEncoder, places: Places, whole: int, uncalibrated: str = "") -> Iterator[str]:
    """Yield lines that describe the ticket; `uncalibrated` says why it has no temperature, if it should have one."""
    about, size = packed.about, places.ticket.stat().st_size
    full, rounded = about["full_test_acc"], about.get("rounded_test_acc")
    yield f"ticket   {places.ticket}"
    yield f"         {size:,} bytes, {percent(size / whole)} of the whole network's {whole:,}"
    yield f"         {about['alive']:,} of {about['total']:,} weights alive ({percent(1 - about['sparsity'])})"
    beside = "" if full is None else f"; the whole network {percent(full)}"
    reached = about.get("test_acc")  # None if it was not measured
    accuracy = DASH if reached is None else percent(reached)
    yield f"accuracy {accuracy} on {about.get('tested_on') or 'the test split'}{beside}"
    if rounded is not None:
        yield f"         {percent(rounded)} with weights rounded to {about['values']}, on the whole test split"
    if said := describe_calibration(about):
        yield f"sure     {said}"
    elif uncalibrated:
        yield f"sure     not calibrated: {uncalibrated}"
    yield f"card     {places.card}"
