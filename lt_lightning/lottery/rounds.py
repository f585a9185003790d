"""The lottery itself: the state that one round hands to the next.

Knows no training loop. Whatever trains calls, in each round, `begin_round`, then `observe` as training goes on, and
`end_round`; in between, a `Freezer` holds the pruned entries still:

    lottery = Lottery(Settings(rewind="init"))
    for _ in range(rounds):
        lottery.begin_round(module)      # from the second round on: prune, rewind
        freezer = lottery.freezer(module)
        ...                              # train; freezer.freeze_gradients() before each step
        lottery.end_round(module)

Make the optimizer after `begin_round`: it may copy the weights. Iterative magnitude pruning after Frankle and Carbin
2019, https://arxiv.org/abs/1803.03635.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from lt_lightning.lottery.criteria import CRITERIA
from lt_lightning.lottery.freezing import Freezer
from lt_lightning.lottery.mask import Mask
from lt_lightning.lottery.pruning import prune
from lt_lightning.lottery.rewinding import reinitialize, restore, snapshot
from lt_lightning.lottery.seeds import derive_seed
from lt_lightning.lottery.selection import matching_parameters, prunable_parameters, require_own_memory
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
        self._trained: dict[str, weakref.ref[nn.Parameter]] = {}

    @property
    def writes_first(self) -> bool:
        """Whether round 0 begins with weights of its own instead of the module's."""
        return self._start is not None

    def can_start(self, module: nn.Module) -> bool:
        """Return whether there is a start, and `module` has what it names.

        Raises:
            LotteryError: if it does not, or the settings do not fit `module`.
        """
        if self._start is not None:
            self._start.check(module, self.parameters(module))
        return self._start is not None

    def parameters(self, module: nn.Module) -> dict[str, nn.Parameter]:
        """Return the parameters of `module` that this lottery prunes, by name."""
        return prunable_parameters(module, self.settings.include, self.settings.exclude)

    def freezer(self, module: nn.Module) -> Freezer:
        """Return what holds the pruned entries of `module` still in this round."""
        params = dict(module.named_parameters())
        return Freezer({name: params[name] for name in self.mask}, self.mask)

    def begin_round(self, module: nn.Module) -> None:
        """Start the next round: the first takes `module` as it is, each later one prunes and rewinds it.

        If there is a start, the first gives it the start's weights and mask; under `rewind=random` all other weights
        are drawn for it, too, as the module's own may be those that the mask was found with. A round that was begun
        and never ended is begun again: its mask stays, and so do the weights. Parameters that train only since a
        later round join the mask with that round.

        Raises:
            LotteryError: if the settings or the start do not fit `module`, it is not the module of the round before,
                its weights are not finite, or round 0 never reached the rewinding point. Nothing is changed then.
        """
        begin_rounds([(self, module)])

    def require_same(self, module: nn.Module) -> None:
        """Check that the parameters of the current or last round are still those of `module`.

        Raises:
            LotteryError: if a layer, or the whole module, was made anew: its weights have nothing to do with the mask.
        """
        params = dict(module.named_parameters())
        for name, trained in self._trained.items():
            if name in params and trained() is not params[name]:
                raise LotteryError(
                    f"the parameter {name!r} is not the one that round {self.round} began with: a new module, or a "
                    "layer that setup() or configure_model() builds in each fit, has weights that no round trained; "
                    "use one module in all rounds, and build its layers once"
                )

    def observe(self, module: nn.Module, *, epochs: int | None = None, steps: int | None = None) -> None:
        """Take note of the weights after so many epochs or optimizer steps of the current round.

        It may be called several times at the same point; the first time counts.
        """
        reached = epochs if self.rewind.point == "epoch" else steps
        if self.round == 0 and self._rewind_weights is None and self.rewind.at and self.rewind.at == reached:
            self._rewind_weights = snapshot(module)

    def observe_start(self, module: nn.Module) -> None:
        """Take note again of the weights that round 0 begins with: processes may have made them equal since."""
        if self.round == 0 and self.rewind.at_start:
            self._rewind_weights = snapshot(module)

    def end_round(self, module: nn.Module) -> None:
        """Close the round; from its weights the next one prunes.

        Parameters that began to train in the course of the round (unfrozen layers) join the mask.

        Raises:
            LotteryError: if weights are not finite, or parameters were replaced; the round is closed all the same.
        """
        if self.round == 0 and self.rewind.point == "last":
            self._rewind_weights = snapshot(module)
        self.training = False
        self.require_same(module)
        with suppress(LotteryError):  # a module that is frozen as training ends has none that joins
            self.mask = _joined(self.mask, self.parameters(module))
        params = dict(module.named_parameters())
        living = {name: params[name] for name in self.mask if name in params}
        self._trained = _references(living)
        self._require_finite(living)

    def state_dict(self) -> dict[str, Any]:
        """Return all that is needed to go on later: plain values and tensors, on the CPU."""
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
        self._trained = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_trained": {}}  # a copy works on other parameters

    def _plan(self, module: nn.Module) -> tuple[dict[str, nn.Parameter], Mask | None]:
        """Check that the next round can begin, and prune for it.

        Returns:
            The prunable parameters, and the next mask; None where round 0 finds its own.
        """
        if self.training:
            return self._plan_again(module)
        params = self.parameters(module)
        require_own_memory(params, module.named_parameters())
        if self.round < 0:
            if self._start is not None:
                self._start.check(module, params)
            if self.rewind.point == "random":
                self._check_draw(module)
            return params, None
        self.require_same(module)
        self._require_rewinding_point()
        self._require_finite(params)
        mask = _joined(self._mask_beside(params), params)
        return params, self._pruned(mask, params)

    def _plan_again(self, module: nn.Module) -> tuple[dict[str, nn.Parameter], Mask]:
        """Plan a round that was begun and not ended, whatever is frozen for the moment."""
        self.require_same(module)
        params = dict(module.named_parameters())
        mask = self._mask_beside(params)
        return {name: params[name] for name in mask}, mask

    def _rewrite(self, module: nn.Module, params: dict[str, nn.Parameter], mask: Mask | None) -> Mask:
        """Give `module` the weights that the planned round begins with, and return the round's mask."""
        if mask is None:
            if self._start is None:
                return Mask.ones(params)
            if self.rewind.point == "random":
                # The module may have been built from the very seed that the mask was found with.
                self._draw(module, round=0)
            return self._start.begin_(module, params)
        if not self.training:
            self._rewind(module)
        return mask

    def _enter(self, module: nn.Module, params: dict[str, nn.Parameter], mask: Mask) -> None:
        """Put the lottery into the planned round, and set the pruned entries to zero."""
        mask.apply_(params)
        if not self.training:
            self.round += 1
            self.observe_start(module)
        self.mask = mask
        self._trained = _references(params)
        self.training = True

    def _check_draw(self, module: nn.Module) -> None:
        """Check that later rounds can draw weights again: not after a round of training."""
        matching_parameters(module, "redraw", self.settings.redraw)
        if self._start is None:
            first = snapshot(module)
            reinitialize(module, 0, self._initialize, self.settings.redraw)
            restore(module, first)

    def _require_rewinding_point(self) -> None:
        if self._rewind_weights is not None or self.rewind.point in ("random", "none"):
            return
        raise LotteryError(
            f"rewind: {self.rewind} was never reached: round 0 ended before it; choose an earlier "
            f"{self.rewind.point}, or train round 0 for longer"
        )

    def _require_finite(self, params: Mapping[str, Tensor]) -> None:
        for name, param in params.items():
            if not param.isfinite().all():
                raise LotteryError(
                    f"the weights that round {self.round} left in {name!r} are not finite, and cannot be ranked; lower "
                    "the learning rate, clip gradients, or prune less of this parameter"
                )

    def _mask_beside(self, params: dict[str, nn.Parameter]) -> Mask:
        """Return the mask, where the parameters are now."""
        missing = [name for name in self.mask if name not in params]
        if missing:
            raise LotteryError(
                f"the mask names the parameter {missing[0]!r}, which the module no longer has or no longer trains: "
                "use the same module in all rounds; a callback that freezes layers comes after this one"
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


def begin_rounds(lotteries: Sequence[tuple[Lottery, nn.Module]]) -> None:
    """Begin the next round of lotteries that prune different parameters of one network, each by settings of its own.

    All prune before any rewinds: a rewound weight must not be ranked. A parameter that one of them prunes goes back
    where this one rewinds to, whatever the others rewind.

    Args:
        lotteries: each with the module that it works on.

    Raises:
        LotteryError: as `Lottery.begin_round`, or if two lotteries prune the same parameter. Nothing is changed then.
    """
    owners: dict[nn.Parameter, int] = {}
    for number, (lottery, module) in enumerate(lotteries):
        for name, param in lottery.parameters(module).items():
            if owners.setdefault(param, number) != number:
                raise LotteryError(
                    f"include: two callbacks prune the parameter {name!r}; give them include and exclude patterns "
                    "that do not overlap"
                )
    plans = [lottery._plan(module) for lottery, module in lotteries]
    before = [snapshot(module) for _, module in lotteries] if len(lotteries) > 1 else []
    masks = []
    try:
        for (lottery, module), (params, mask) in zip(lotteries, plans, strict=True):
            others = {param: param.detach().clone() for param in set(owners).difference(params.values())}
            masks.append(lottery._rewrite(module, params, mask))
            with torch.no_grad():
                for param, value in others.items():
                    param.copy_(value)
    except BaseException:
        for (_, module), weights in zip(lotteries, before, strict=False):
            restore(module, weights)
        raise
    for (lottery, module), (params, _), mask in zip(lotteries, plans, masks, strict=True):
        lottery._enter(module, params, mask)


def _joined(mask: Mask, params: Mapping[str, Tensor]) -> Mask:
    """Return `mask` with the parameters that it does not name yet, all alive."""
    new = {name: param for name, param in params.items() if name not in mask}
    return Mask({**mask, **Mask.ones(new)}) if new else mask


def _references(params: Mapping[str, nn.Parameter]) -> dict[str, weakref.ref[nn.Parameter]]:
    return {name: weakref.ref(param) for name, param in params.items()}
