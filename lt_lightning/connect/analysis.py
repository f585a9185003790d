"""Train the copies of each round, measure the lines between them, and draw the results."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from pytorch_lightning.utilities import rank_zero_only

from lt_lightning.connect.copies import Slot, build_fresh, find_copy, slots, train_copy
from lt_lightning.connect.display import ConnectDisplay
from lt_lightning.connect.points import Meter, batch_norms, between
from lt_lightning.connect.records import Curve, RoundCurves, read_all, read_curves, write_curves, write_tables
from lt_lightning.connect.report import draw
from lt_lightning.connect.request import Request
from lt_lightning.connect.starts import find_round_start, mark, set_type
from lt_lightning.connect.wording import Wording
from lt_lightning.experiment.experiment import hush
from lt_lightning.experiment.start_run import find_launch
from lt_lightning.experiment.subject import load_data
from lt_lightning.experiment.trainer import find_environment
from lt_lightning.lottery import Start
from lt_lightning.lottery.connectivity import line
from lt_lightning.report.facts import duration
from lt_lightning.runs.formatting import percent
from lt_lightning.runs.round_ticket import RoundTicket
from lt_lightning.runs.rounds import ticket_path
from lt_lightning.runtime.signals import stop_if_asked
from lt_lightning.runtime.terminal import write
from lt_lightning.storage.atomic import writing_to
from lt_lightning.storage.lock import hold

_SLOW = 5.0
"""Seconds."""


@dataclass(frozen=True)
class Work:
    """The work left for a round.

    Attributes:
        round: the round.
        start: the mark of the mask and the weights that its copies train from.
        slots: the places of all its copies.
        missing: those of copies that are not trained yet.
    """

    round: int
    start: str
    slots: tuple[Slot, ...]
    missing: tuple[Slot, ...]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Return the labels of all pairs of copies."""
        return list(combinations([slot.label for slot in self.slots], 2))

    @property
    def tickets(self) -> dict[str, str | None]:
        """Return the seals of the copies by their labels, None for those that are not trained yet."""
        return {slot.label: find_copy(slot, self.start) for slot in self.slots}


def analyse(request: Request) -> Path:
    """Measure the instability of the chosen rounds, and return the path of the page.

    What is on disk already is not trained or measured again. The cost is printed before anything is trained.

    Raises:
        SettingError: a file of the run is damaged, a loss is not finite, a value is not logged, or a file cannot be
            written; or another process is doing the same.
    """
    rank_zero_only.rank = 0  # pyright: ignore[reportFunctionMemberAccess]
    with hold(request.folder):
        return _Analysis(request).run()


class _Analysis:
    def __init__(self, request: Request) -> None:
        self._request, self._config = request, request.config
        self._environment = find_environment(find_launch(request.config.trainer, os.environ))
        self._data = load_data(request.config, request.corpus, request.run.folder)
        self._subject = build_fresh(self._config, self._data)
        self._wording = Wording.of(request.run, self._subject.judged)
        hush(deals_rows=self._subject.judged is None)
        self._point_seconds = 0.0

    def run(self) -> Path:
        request = self._request
        works = [self._plan(number) for number in request.rounds]
        unmeasured = [work for work in works if work.missing or not self._is_measured(work)]
        seconds = self._announce(unmeasured)
        with ConnectDisplay(seconds) as display:
            for work in works:
                if work in unmeasured:
                    self._train(work, display)
                    found = self._measure(work, display)
                    with writing_to(request.folder):
                        write_curves(request.folder, found)
                        write_tables(request.folder, read_all(request.folder))
                display.say(self._line(work.round))
        rounds = read_all(request.folder)
        with writing_to(request.folder):
            write_tables(request.folder, rounds)
        return draw(request.run, request.folder, rounds, self._wording)

    def _plan(self, number: int) -> Work:
        start, places = mark(self._start(number)), slots(self._request.folder, number, self._request.orders)
        return Work(number, start, tuple(places), tuple(slot for slot in places if find_copy(slot, start) is None))

    def _start(self, number: int) -> Start:
        """Return the mask and the weights that a round trained from; computed anew, as all of them may not fit."""
        network = build_fresh(self._config, self._data).network
        return find_round_start(self._request.run.folder, self._config, network, self._data, number)

    def _ticket(self, number: int) -> RoundTicket:
        return RoundTicket.load(ticket_path(self._request.run.folder, number))

    def _is_measured(self, work: Work) -> bool:
        """Return whether the lines between these very copies are on disk, with as many points."""
        found = read_curves(self._request.folder, work.round)
        return (
            found is not None and found.tickets == work.tickets and len(found.curves[0].alphas) == self._request.points
        )

    def _announce(self, works: list[Work]) -> float:
        """Print what will be done and how long it takes; return the seconds."""
        request = self._request
        if not works:
            write(f"{request.run.folder}: these rounds are measured already")
            return 0.0
        ticket = self._ticket(works[0].round)
        meter, norms = self._meter(works[0].round, ticket), batch_norms(self._subject.network)
        for _ in range(2):
            began = time.monotonic()
            meter.errors(ticket.weights, norms)
            self._point_seconds = time.monotonic() - began
            if self._point_seconds > _SLOW:
                break  # the first pass of a small network takes several times as long as the others
        trains = sum(request.played[work.round].record.seconds * len(work.missing) for work in works)
        copies, lines = sum(len(work.missing) for work in works), sum(len(work.pairs) for work in works)
        points = lines * (request.points - 2) + sum(len(work.slots) for work in works)
        seconds = trains + points * self._point_seconds
        write(
            f"{request.run.folder}: trains {copies} network{'s' * (copies != 1)} and measures {points} points on the "
            f"{' and the '.join(meter.parts)} part: about {duration(seconds)}, from the run's own times and a point "
            "that was timed"
        )
        return seconds

    def _train(self, work: Work, display: ConnectDisplay) -> None:
        if not work.missing:
            return
        start, ticket = self._start(work.round), self._ticket(work.round)
        for slot in work.missing:
            display.begin(f"round {work.round} · order {slot.label}", self._request.played[work.round].record.seconds)
            train_copy(self._config, self._data, slot, start, ticket, display, self._environment)
            display.end()

    def _measure(self, work: Work, display: ConnectDisplay) -> RoundCurves:
        """Return the errors on the lines between all pairs of a round's copies."""
        copies = {slot.label: RoundTicket.load(slot.ticket) for slot in work.slots}
        mask = self._ticket(work.round).mask
        meter = self._meter(work.round, copies[work.slots[0].label])
        norms = batch_norms(self._subject.network)
        display.begin(f"round {work.round} · the copies", len(copies) * self._point_seconds)
        ends = {label: meter.errors(copy.weights) for label, copy in copies.items()}
        display.end()
        curves, alphas = [], line(self._request.points)
        for one, other in work.pairs:
            display.begin(f"round {work.round} · {one}-{other}", (len(alphas) - 2) * self._point_seconds)
            errors = [ends[one]]
            for number, alpha in enumerate(alphas[1:-1], 1):
                weights, renewed = between(copies[one].weights, copies[other].weights, alpha, mask, norms)
                errors.append(meter.errors(weights, renewed))
                stop_if_asked()
                display.show_point(number, len(alphas) - 2)
            errors.append(ends[other])
            display.end()
            curves.append(Curve((one, other), {part: tuple(at[part] for at in errors) for part in meter.parts}))
        tickets = {label: seal or "" for label, seal in work.tickets.items()}
        return RoundCurves(work.round, mask.alive, mask.total, tickets, meter.parts[0], tuple(curves))

    def _meter(self, number: int, ticket: RoundTicket) -> Meter:
        set_type(self._subject.network, ticket)
        return Meter(self._config, self._subject, number, self._request.folder, self._environment)

    def _line(self, number: int) -> str:
        found = read_curves(self._request.folder, number)
        assert found is not None
        said = " and ".join(f"{self._wording.points(found.instability(part))} on {part}" for part in found.parts)
        verdict = f": {self._wording.verdict(found)}" if self._wording.is_share else ""
        return f"round {number}  density {percent(found.density)}  instability {said}{verdict}"
