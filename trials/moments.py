"""Kill a run at a moment: an audit hook logs its file operations, and stops at one.

A moment is one operation on one file of the run directory (`rename tickets/round_01.safetensors, 1 rounds on record`)
and a phase of it. The same settings give the same moments in the same order in every process.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Phase = Literal["before", "within", "after"]
_TORN = 48
"""Number of bytes that an interrupted write leaves."""
_NOT_OURS = (".hydra/", "train.log", "state/lock", "figures/", "report.html")
"""The files of Hydra and filelock, and those that a finished run draws from the rest."""
_TEMPORARY = re.compile(r"\..+\.tmp")
_CHECKSUM = re.compile(r"_[0-9a-f]{64}\.ckpt")
_WRITES = os.O_WRONLY | os.O_RDWR


@dataclass(frozen=True)
class Operation:
    """A file operation within a run directory.

    Attributes:
        kind: `write`, `rename` or `remove`. A file that is written under a temporary name counts as written when it is
            renamed.
        file: the file below the run directory, by its final name; a checkpoint without its checksum.
        rounds: the number of rounds on record at that time.
    """

    kind: str
    file: str
    rounds: int

    def __str__(self) -> str:
        return f"{self.kind} {self.file}, {self.rounds} rounds on record"


@dataclass(frozen=True)
class Moment:
    """When to kill a process.

    Attributes:
        operation: the operation.
        phase: `before` it, `within` a write, which leaves a torn file, or `after` it.
    """

    operation: Operation
    phase: Phase

    def __str__(self) -> str:
        return f"{self.phase} {self.operation}"


def moments(operations: Sequence[Operation]) -> list[Moment]:
    """Return the moments of a run, in order.

    Args:
        operations: the operations of the run; repeated ones count once.
    """
    found = []
    for operation in dict.fromkeys(operations):
        phases: tuple[Phase, ...] = ("within",) if operation.kind == "write" else ("before", "after")
        found += [Moment(operation, phase) for phase in phases]
    return found


def read_operations(log: Path) -> list[Operation]:
    """Read the operations that `Interceptor` logged."""
    found = []
    for line in log.read_text(encoding="utf-8").splitlines() if log.exists() else ():
        kind, file, rounds = line.split("\t")
        found.append(Operation(kind, file, int(rounds)))
    return found


class Interceptor:
    """Log this process's operations on a run directory, and kill it at a moment.

    Install it by `sys.addaudithook`: Python calls it before each operation. It does nothing in processes that are
    forked later, such as those that load data.

    Args:
        run: the run directory.
        log: a file outside it, to which each operation that is not stopped is appended.
        moment: when to kill the process; None to let it end.
    """

    def __init__(self, run: Path, log: Path, moment: Moment | None) -> None:
        self._run = run.absolute()
        self._moment = moment
        self._process = os.getpid()
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._armed = False
        self._busy = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Handle one audit event."""
        if self._armed:
            self._kill()
        kind = _KINDS.get(event)
        if kind is None or self._busy or os.getpid() != self._process:
            return
        self._busy = True  # its own file operations are events too
        try:
            if kind == "rename":
                self._rename(Path(os.fsdecode(arguments[0])), arguments[1])
            elif kind == "remove" or (isinstance(arguments[2], int) and arguments[2] & _WRITES):
                self._meet(kind, arguments[0])
        finally:
            self._busy = False

    def _rename(self, source: Path, target: Any) -> None:
        if _TEMPORARY.fullmatch(source.name):
            self._meet("write", target, source)
        self._meet("rename", target)

    def _meet(self, kind: str, path: Any, temporary: Path | None = None) -> None:
        """Log an operation on a path, or kill the process; ignore files that do not count."""
        if not isinstance(path, str | os.PathLike):
            return
        place = Path(os.fsdecode(path)).absolute()
        if not place.is_relative_to(self._run) or _TEMPORARY.fullmatch(place.name):
            return
        file = place.relative_to(self._run).with_name(_CHECKSUM.sub("", place.name)).as_posix()
        if file.startswith(_NOT_OURS):
            return
        operation = Operation(kind, file, self._rounds())
        if self._moment is not None and operation == self._moment.operation:
            if self._moment.phase == "before":
                self._kill()
            if self._moment.phase == "within":
                self._tear(temporary)
                return
            self._armed = True
        os.write(self._log, f"{operation.kind}\t{operation.file}\t{operation.rounds}\n".encode())

    def _tear(self, temporary: Path | None) -> None:
        """Truncate a file, and kill the process."""
        if temporary is not None:
            os.truncate(temporary, _TORN)
            self._kill()
        # The file is about to be written in place; the system kills a process that writes beyond this limit.
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (_TORN, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    def _rounds(self) -> int:
        try:
            names = [path.name for path in (self._run / "state").iterdir()]
        except FileNotFoundError:
            return 0
        return sum(re.fullmatch(r"round_\d+\.json", name) is not None for name in names)

    def _kill(self) -> None:
        self._armed = False  # `os.kill` is an event too
        os.kill(self._process, signal.SIGKILL)


_KINDS = {"open": "write", "os.rename": "rename", "os.remove": "remove"}


def intercept(run: Path, log: Path, moment: Moment | None) -> None:
    """Install an `Interceptor` in this process permanently: Python cannot remove an audit hook."""
    sys.addaudithook(Interceptor(run, log, moment))
