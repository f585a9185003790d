"""Decide which file of a run its tickets and checkpoints refer to, and write it in the run's first round."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from lt_lightning.callbacks import PruningCallback
from lt_lightning.errors import SettingError
from lt_lightning.runs.bases import FROZEN, REWIND, Base, read_base, write_base
from lt_lightning.storage.parts import Parts, split

log = logging.getLogger(__name__)


class RunBase:
    """The file that a run's tickets and checkpoints refer to: the weights to rewind to, or else what does not train.

    Args:
        run: the run directory.
        tokenizer: the tokenizer of the run's tickets, as text.
        first: the round that writes the file; None if that round is over.
    """

    def __init__(self, run: Path, tokenizer: str, first: int | None) -> None:
        self._run, self._tokenizer, self._first = run, tokenizer, first
        self._base: Base | None = None
        self._was_read = False

    def find(self, round: int, pruning: PruningCallback, network: nn.Module) -> Base | None:
        """Return the base of a round's files, on disk; None if there is none, or not yet.

        Args:
            round: the round that writes a ticket or a checkpoint.
            pruning: its lottery.
            network: the network.

        Raises:
            OSError: the file cannot be written.
        """
        weights = pruning.state_dict()["rewind_weights"]
        if weights is None and pruning.keeps_weights:
            return None  # round 0 has not reached the point to rewind to
        file = FROZEN if weights is None else REWIND
        if round != self._first:
            return self._read(file)
        if weights is None:
            frozen = {name: param for name, param in network.named_parameters() if not param.requires_grad}
            weights = {name: param.detach().cpu().clone() for name, param in frozen.items()}
        if self._base is None or self._base.file != file or not _equal(self._base.weights, weights):
            seal = write_base(self._run, file, weights, self._tokenizer)
            self._base = Base(file, seal, weights, self._tokenizer)
        return self._base

    def _read(self, file: str) -> Base | None:
        """Return the file that the first round wrote; None in a run whose first round an earlier version trained."""
        if self._base is None and not self._was_read and (self._run / file).exists():
            try:
                self._base = read_base(self._run, file)
            except SettingError as error:  # changed since the run went on; its tickets are then larger
                log.warning("%s", error)
        self._was_read = True
        return self._base


def _equal(some: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> bool:
    """Return whether weights are the same to the bit."""
    same = Parts(None, None, None)
    return some.keys() == others.keys() and all(split(others[name], base=some[name]) == same for name in some)
