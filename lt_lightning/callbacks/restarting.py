"""Decide how a fit begins: a new round, a round that failed, or one that resumes from a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytorch_lightning as pl
from torch import Tensor

from lt_lightning.callbacks.holding import FitState, HoldingCallback
from lt_lightning.callbacks.refusals import check_fresh, check_untrained
from lt_lightning.lottery import LotteryError
from lt_lightning.lottery.rewinding import digest, named_state, restore


class RestartingCallback(HoldingCallback):
    """The part of `PruningCallback` that decides how a fit begins."""

    if TYPE_CHECKING:
        _begun: dict[str, Tensor] | None
        _stopped: bytes
        _token: object

        @property
        def round(self) -> int:
            """Return the current or last round; -1 before the first."""
            ...

    def _renew_fit(self) -> None:
        steps = self._fit.all_steps if self._lottery.training else 0
        self._fit = FitState(steps=steps, is_first=self.round < 0, ended=self.round - self._lottery.training)

    def _restart(self, pl_module: pl.LightningModule, group: Sequence[RestartingCallback]) -> None:
        """Restore the first weights of a round that did not end, unless others were loaded since."""
        if not any(one._lottery.training for one in group) or self._begun is None:
            return
        if self._stopped == digest(named_state(pl_module)):
            restore(pl_module, self._begun)
            for one in group:
                one._lottery.restart_round()
                one._fit.steps = 0
        else:
            for one in group:
                if one.round == 0:  # it begins with the current weights
                    one._lottery.forget()
                    one._fit.is_first = True

    def _begins_early(self, pl_module: pl.LightningModule) -> bool:
        """Return whether the round can begin in `setup`: with all layers, and without a checkpoint to load first."""
        if self._lottery.training:
            return False
        try:
            if self.round < 0:
                return self._lottery.can_start(self.module(pl_module))
            self._lottery.require_same(self.module(pl_module))
        except LotteryError:
            return False
        return True

    def _check_late(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Raise LotteryError if the round cannot begin when the fit starts."""
        if self._fit.is_resumed:
            raise LotteryError(
                f"the checkpoint was written after round {self.round} had ended, so there is nothing to resume; for "
                "the next round load its weights and this callback's state yourself, and fit without ckpt_path"
            )
        if self.round < 0:
            check_untrained(pl_module, self.state_key, self._token)
            if self._lottery.writes_first:
                check_fresh(trainer)
