"""A branch: a run that retrains the tickets of another run, its trunk, and keeps the numbers of their rounds.

`state/branch.json` has what a branch takes over from its trunk, sealed; `run.json` has the same under `branch`. The
module imports no torch.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lt_lightning.errors import SettingError
from lt_lightning.runs.records import Record, columns, optional_columns
from lt_lightning.storage.atomic import read_regular, write_whole
from lt_lightning.storage.lock import STATE
from lt_lightning.storage.sealed_json import seal_json

UNREAD_BY_BRANCHES = ("amount", "amount_of", "amounts", "scope", "threshold")
"""Settings of the group `pruning` that a branch does not read; nor does it read `criterion`, unless `mask=invert`."""
_FORMAT, _VERSION = "lt-lightning branch", "1"
_LARGEST = 2**24
"""Bytes of `state/branch.json`, which has a few thousand."""


@dataclass(frozen=True)
class Branch:
    """What a run takes over from the trunk whose tickets it retrains.

    Attributes:
        of: the path of the trunk, as it was given.
        rounds: the rounds of the trunk that are trained again, in order.
        tickets: the seals of their tickets.
        rewind: the point that the trunk rewinds to.
        full: the trunk's round 0: the full network that tickets are compared with.
    """

    of: str
    rounds: tuple[int, ...]
    tickets: tuple[str, ...]
    rewind: str
    full: Record

    @classmethod
    def from_json(cls, content: Any) -> Branch | None:
        """Return the branch in the `branch` entry of `run.json`; None if there is none, or not a whole one."""
        try:
            rounds, tickets = tuple(content["rounds"]), tuple(content["tickets"])
            of, rewind, full = content["of"], content["rewind"], _read_record(content["full"])
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
            return None
        are_rounds = all(type(one) is int and one >= 0 for one in rounds)
        if not are_rounds or not rounds or list(rounds) != sorted({*rounds}) or len(tickets) != len(rounds):
            return None
        if not all(isinstance(one, str) for one in (of, rewind, *tickets)):
            return None
        return cls(of, rounds, tickets, rewind, full)

    def to_json(self) -> dict[str, Any]:
        """Return the `branch` entry of `run.json`."""
        # JSON has no NaN, which stands for what was not measured.
        full = {name: None if _is_nan(value) else value for name, value in asdict(self.full).items()}
        full["logged"] = {name: value for name, value in self.full.logged.items() if not _is_nan(value)}
        return {**asdict(self), "rounds": list(self.rounds), "tickets": list(self.tickets), "full": full}


@dataclass(frozen=True)
class Plan:
    """The numbers of a run's rounds.

    Attributes:
        chosen: those of a branch, in order; None for the rounds 0, 1, 2, …, of which each prunes the one before.
    """

    chosen: tuple[int, ...] | None = None

    @property
    def is_nested(self) -> bool:
        """Whether the mask of each round lies inside that of the round before."""
        return self.chosen is None

    def number(self, place: int) -> int | None:
        """Return the round at a place, counted from 0; None after the last round.

        >>> Plan().number(2), Plan((2, 4)).number(1), Plan((2, 4)).number(2)
        (2, 4, None)
        """
        if self.chosen is None:
            return place
        return self.chosen[place] if place < len(self.chosen) else None

    def until(self, last: int) -> tuple[int, ...]:
        """Return the rounds that must be there if a round has run.

        >>> Plan().until(2), Plan((2, 4, 6)).until(4), Plan().until(-1)
        ((0, 1, 2), (2, 4), ())
        """
        return tuple(range(last + 1)) if self.chosen is None else tuple(one for one in self.chosen if one <= last)

    def title(self, round: int) -> str:
        """Return the name of a round with its place in the plan, if it has another place than its number says.

        >>> Plan().title(4), Plan((2, 4, 6)).title(4)
        ('round 4', 'round 4 (2 of 3)')
        """
        if self.chosen is None or round not in self.chosen:
            return f"round {round}"
        return f"round {round} ({self.chosen.index(round) + 1} of {len(self.chosen)})"


def plan_of(branch: Branch | None) -> Plan:
    """Return the plan of a branch, or of any other run."""
    return Plan() if branch is None else Plan(branch.rounds)


def write_branch(run: Path, branch: Branch | None) -> None:
    """Write `state/branch.json`, or remove it from the directory of a run that is no branch.

    Raises:
        OSError: if the file cannot be written.
    """
    path = _path(run)
    if branch is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(exist_ok=True)
    write_whole(path, seal_json({"format": _FORMAT, "version": _VERSION, **branch.to_json()}))


def read_branch(run: Path) -> Branch | None:
    """Read `state/branch.json`; return None for a run that is no branch.

    Raises:
        SettingError: if the file is damaged.
    """
    path = _path(run)
    try:
        text = read_regular(path, _LARGEST)
        content: Any = json.loads(text)
        del content["sha256"]
        branch = Branch.from_json(content)
        is_sound = seal_json(content) == text and (content["format"], content["version"]) == (_FORMAT, _VERSION)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingError(f"{path}: cannot be read ({error.strerror}); restore it from a copy") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        branch, is_sound = None, False
    if branch is None or not is_sound:
        raise SettingError(
            f"{path}: cut off or changed since it was written: its checksum does not fit; restore it from a copy, or "
            "start another branch"
        )
    return branch


def read_plan(run: Path) -> Plan:
    """Return the plan of the run in a directory; raise SettingError if its record of the trunk is damaged."""
    return plan_of(read_branch(run))


def _read_record(content: Any) -> Record:
    """Return a record from its JSON; raise an error if a value is missing or no finite number."""
    values: dict[str, Any] = {name: content[name] for name in columns(Record)}
    values |= {name: content[name] for name in optional_columns(Record) if content.get(name) is not None}
    logged = dict(content.get("logged") or {})
    known = [value for value in (*values.values(), *logged.values()) if value is not None]
    if any(isinstance(value, bool) or not math.isfinite(value) for value in known):
        raise ValueError
    values |= {name: math.nan for name, value in values.items() if value is None}
    return Record(**values, logged=logged)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _path(run: Path) -> Path:
    return run / STATE / "branch.json"
