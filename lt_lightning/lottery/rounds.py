"""The lottery itself: the state that one round hands to the next.

Knows no training loop. Whoever trains calls, in each round, `begin_round`, then `observe` as training goes on, and
`end_round`; in between, a `Freezer` holds the pruned entries still:

    lottery = Lottery(Settings(rewind="init"))
    for _ in range(rounds):
        lottery.begin_round(module)      # from the second round on: prune, rewind
        freezer = lottery.freezer(module)
        ...                              # train; freezer.freeze_gradients() before each step
        lottery.end_round(module)

Iterative magnitude pruning after Frankle and Carbin 2019, https://arxiv.org/abs/1803.03635.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lt_lightning.lottery.criteria import CRITERIA
from lt_lightning.lottery.freezing import Freezer
from lt_lightning.lottery.mask import Mask
from lt_lightning.lottery.pruning import prune
from lt_lightning.lottery.rewinding import reinitialize, restore, snapshot
from lt_lightning.lottery.seeds import derive_seed
from lt_lightning.lottery.selection import matching_parameters, prunable_parameters
from lt_lightning.lottery.settings import LotteryError, Rewind, Settings
from lt_lightning.lottery.starting import Start


class Lottery:
    """Rounds of train, prune, rewind on one module.

    Args:
        settings: how each round prunes and rewinds.
        initialize: how `rewind=random` draws weights again; see `reinitialize`.
        start: the mask and the weights that round 0 begins with; None: it trains the whole module as it is.

    Attributes:
        round: the round that is trained now or was last; -1 before the first.
        mask: the mask of that round.
        training: whether the round has begun and not ended.
    """

    def __init__(
        self,
        settings: Settings,
        initialize: Callable[[nn.Module], None] | None = None,
        start: Start | None = None,
    ) -> None:
        self.settings = settings
        self.rewind = Rewind.parse(settings.rewind)
        self.round = -1
        self.mask = Mask({})
        self.training = False
        self._initialize = initialize
        self._start = start
        self._rewind_weights: dict[str, Tensor] | None = None

    def parameters(self, module: nn.Module) -> dict[str, nn.Parameter]:
        """The parameters of `module` that this lottery prunes, by name."""
        return prunable_parameters(module, self.settings.include, self.settings.exclude)

    def freezer(self, module: nn.Module) -> Freezer:
        """What holds the pruned entries of `module` still in this round."""
        return Freezer(self.parameters(module), self.mask)

    def begin_round(self, module: nn.Module) -> None:
        """Start the next round: the first takes `module` as it is, each later one prunes and rewinds it.

        If there is a start, the first gives it the start's weights and mask; under `rewind=random` all other weights
        are drawn for it, too, as the module's own may be those that the mask was found with. A round that was begun
        and never ended is begun again: its mask stays, and so do the weights.

        Raises:
            LotteryError: if the settings or the start do not fit `module`, or round 0 never reached the rewinding
                point.
        """
        params = self.parameters(module)
        if self.round < 0:
            self._begin_first(module, params)
        else:
            self._require_rewinding_point()
            mask = self._mask_beside(params)
            if not self.training:
                mask = self._pruned(mask, params)
                self._rewind(module)
                self.round += 1
            self.mask = mask
            self.mask.apply_(params)
        self.training = True

    def _begin_first(self, module: nn.Module, params: dict[str, nn.Parameter]) -> None:
        if self._start is not None:
            self._start.check(module, params)
        if self.rewind.point == "random":
            self._draw_first(module)
        self.mask = Mask.ones(params) if self._start is None else self._start.begin_(module, params)
        if self.rewind.at_start:
            self._rewind_weights = snapshot(module)
        self.round = 0

    def _draw_first(self, module: nn.Module) -> None:
        """Draw round 0's weights where it begins with a mask; see that later rounds can draw theirs where not."""
        matching_parameters(module, "redraw", self.settings.redraw)
        if self._start is not None:
            # The module may have been built from the very seed that the mask was found with.
            self._draw(module, round=0)
        elif self._initialize is None:
            first = snapshot(module)
            # That a part cannot be drawn again is said now, not after a round of training.
            reinitialize(module, seed=0, redraw=self.settings.redraw)
            restore(module, first)

    def observe(self, module: nn.Module, *, epochs: int | None = None, steps: int | None = None) -> None:
        """Take note of the weights after so many epochs or optimizer steps of the current round.

        It may be called several times at the same point; the first time counts.
        """
        reached = epochs if self.rewind.point == "epoch" else steps
        if self.round == 0 and self._rewind_weights is None and self.rewind.at and self.rewind.at == reached:
            self._rewind_weights = snapshot(module)

    def end_round(self, module: nn.Module) -> None:
        """Close the round; from its weights the next one prunes."""
        if self.round == 0 and self.rewind.point == "last":
            self._rewind_weights = snapshot(module)
        self.training = False

    def _require_rewinding_point(self) -> None:
        if self.training or self._rewind_weights is not None or self.rewind.point in ("random", "none"):
            return
        raise LotteryError(
            f"rewind: {self.rewind} was never reached: round 0 ended before it; choose an earlier "
            f"{self.rewind.point}, or train round 0 for longer"
        )

    def _mask_beside(self, params: dict[str, nn.Parameter]) -> Mask:
        """The mask, where the parameters are now."""
        missing = [name for name in self.mask if name not in params]
        if missing:
            raise LotteryError(
                f"the mask names the parameter {missing[0]!r}, which the module no longer has or no longer trains: "
                "play all rounds with the same module"
            )
        return Mask({name: alive.to(params[name].device) for name, alive in self.mask.items()})

    def _pruned(self, mask: Mask, params: dict[str, nn.Parameter]) -> Mask:
        settings = self.settings
        generator = torch.Generator().manual_seed(derive_seed(settings.seed, "criterion", self.round + 1))
        scores = CRITERIA[settings.criterion](params, generator)
        return prune(scores, mask, settings.amount, scope=settings.scope, threshold=settings.threshold)

    def _rewind(self, module: nn.Module) -> None:
        if self.rewind.point == "random":
            self._draw(module, self.round + 1)
        elif self._rewind_weights is not None:
            restore(module, self._rewind_weights)

    def _draw(self, module: nn.Module, round: int) -> None:
        seed = derive_seed(self.settings.seed, "rewind", round)
        reinitialize(module, seed, self._initialize, self.settings.redraw)

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on later: plain values and tensors, on the CPU."""
        weights = self._rewind_weights
        return {
            "round": self.round,
            "training": self.training,
            "mask": {name: tensor.cpu() for name, tensor in self.mask.items()},
            "rewind_weights": None if weights is None else {name: tensor.cpu() for name, tensor in weights.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave; where it was left without `rewind_weights`, those that are here stay."""
        self.round = state["round"]
        self.training = state["training"]
        self.mask = Mask(state["mask"])
        self._rewind_weights = state.get("rewind_weights", self._rewind_weights)
