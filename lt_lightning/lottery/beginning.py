"""Begin a round of a lottery: choose its mask, and write the weights that it starts from."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from torch import Tensor, nn

from lt_lightning.lottery.choosing import Change, Chooser, Sources
from lt_lightning.lottery.controls import shuffle_weights
from lt_lightning.lottery.mask import Mask
from lt_lightning.lottery.rewinding import Start, kept_names, named_state, reinitialize, restore, snapshot
from lt_lightning.lottery.schedules.base import Schedule
from lt_lightning.lottery.scores.memory import Memory
from lt_lightning.lottery.seeds import derive_seed
from lt_lightning.lottery.selection import matching_parameters, require_finite, require_own_memory
from lt_lightning.lottery.settings import LotteryError, Rewind, Settings


class Beginning:
    """The part of a `Lottery` that begins rounds: `plan` chooses, `rewrite` writes weights, `enter` starts."""

    if TYPE_CHECKING:
        settings: Settings
        rewind: Rewind
        schedule: Schedule
        round: int
        mask: Mask
        changes: list[Change]
        training: bool
        _chooser: Chooser
        _first_mask: Mask
        _memory: Memory
        _initialize: Callable[[nn.Module], None] | None
        _start: Start | None
        _rewind_weights: dict[str, Tensor] | None
        _rewind_unset: list[str]
        _trained: dict[str, weakref.ref[nn.Parameter]]
        _frozen: set[str]

        parameters: Callable[[nn.Module], dict[str, nn.Parameter]]
        require_same: Callable[[nn.Module], None]
        observe_start: Callable[[nn.Module], None]

    def plan(self, module: nn.Module, sources: Sources) -> tuple[dict[str, nn.Parameter], Mask | None]:
        """Return the prunable parameters and mask of the next round (None for round 0), or raise LotteryError."""
        if self.training:
            self.require_same(module)
            params = dict(module.named_parameters())
            mask = self.mask.beside(params)
            return {name: params[name] for name in mask}, mask
        params = self.parameters(module)
        require_own_memory(params, module.named_parameters())
        self._chooser.check(params)
        if self.settings.keep:
            matching_parameters(module, "keep", self.settings.keep)
        if self.round < 0:
            if self._start is not None:
                self._start.check(module, params)
            if self.rewind.point == "random":
                matching_parameters(module, "redraw", self.settings.redraw)
                if self._start is None:
                    self._check_draw(module, self.settings.redraw)
            if self.settings.renew:
                _check_renewed(module, self.settings)
                self._check_draw(module, self.settings.renew, "renew")
            self._chooser.check_criterion(module, params, sources)
            return params, None
        if self.schedule.is_single:
            raise LotteryError(
                f"schedule: {self.settings.schedule} trains one round, and it has ended; use a new callback and "
                "module, or schedule=rounds"
            )
        self.require_same(module)
        self._require_rewinding_point()
        everyone = dict(module.named_parameters())
        self._require_trainable(everyone)
        mask = self.mask.beside(everyone).extended(params)
        params = {name: everyone[name] for name in mask}
        require_finite(params, f"the weights that round {self.round} left in")
        rewound = {name: value for name, value in (self._rewind_weights or {}).items() if name in mask}
        require_finite(rewound, f"rewind: the weights of {self.rewind} of")
        known = {**sources, **self._memory.sources(params)}
        return params, self._chooser.next_round(module, params, mask, self.round + 1, known)

    def rewrite(self, module: nn.Module, params: dict[str, nn.Parameter], mask: Mask | None, sources: Sources) -> Mask:
        """Write the first weights of the planned round, and return its mask."""
        if mask is None:
            return self._begin_first(module, params, sources)
        if not self.training:
            self._rewind(module, params)
        return mask

    def _begin_first(self, module: nn.Module, params: dict[str, nn.Parameter], sources: Sources) -> Mask:
        """Write the first weights of round 0, and return its mask."""
        begins = Mask.ones(params)
        if self._start is not None:
            if self.rewind.point == "random" and not self.schedule.is_single:
                # The module may have been built from the seed of the run that found the mask.
                self._draw(module, round=0)
            begins = self._start.begin_(module, params)
        mask = self._chooser.first(module, params, begins, sources)
        if self.schedule.is_single and self.rewind.point == "random":
            self._draw(module, round=0)
        if self.rewind.point == "shuffle" and (self._start is not None or self.schedule.is_single):
            self._shuffle(params, round=0)
        return mask

    def enter(self, module: nn.Module, params: dict[str, nn.Parameter], mask: Mask) -> None:
        """Enter the planned round and set pruned entries to zero."""
        if not self.training:
            self.round += 1
            self._memory = self._memory.renewed(params)
            for name, value in named_state(module):
                if self._rewind_weights is not None and name not in self._rewind_weights:
                    self._rewind_weights[name] = value.detach().clone()  # new: rewind to this
        if not self.training and self.round == 0:
            self.observe_start(module)  # before pruned entries become zero: a branch may have another mask
        mask.apply_(params)
        if not self.training:
            whole = self.round == 0 and self._start is None and not self.schedule.is_single
            before = mask if whole else self.mask.extended(params) if self.round else Mask.ones(params)
            change = None if whole else Change.between(0, before, mask)
            self.changes = [] if change is None else [change]
        self.mask = self._first_mask = mask
        self._trained = references(params)
        self.training = True

    def _check_draw(
        self, module: nn.Module, patterns: Sequence[str], key: Literal["redraw", "renew"] = "redraw"
    ) -> None:
        """Raise before training if later rounds cannot draw weights again."""
        first = snapshot(module)
        reinitialize(module, 0, self._initialize, patterns, key=key)
        restore(module, first)

    def _require_rewinding_point(self) -> None:
        if self._rewind_weights is not None or self.rewind.point in ("random", "none"):
            return
        raise LotteryError(
            f"rewind: {self.rewind} was never reached: round 0 ended before it; choose an earlier "
            f"{self.rewind.point}, or train round 0 for longer"
        )

    def _require_trainable(self, params: Mapping[str, Tensor]) -> None:
        """Raise LotteryError if a parameter was frozen since the last round."""
        for name in self.mask:
            if name in params and not params[name].requires_grad and name not in self._frozen:
                raise LotteryError(
                    f"the parameter {name!r} is frozen since round {self.round} ended; let it train "
                    "(requires_grad=True), and put a callback that freezes layers in its setup after this one"
                )

    def _rewind(self, module: nn.Module, params: dict[str, nn.Parameter]) -> None:
        kept = snapshot(module) if self.settings.keep else {}
        if self.rewind.point == "random":
            self._draw(module, self.round + 1)
        elif self._rewind_weights is not None:
            restore(module, self._rewind_weights, self._rewind_unset)
        if self.rewind.point == "shuffle":
            self._shuffle(params, self.round + 1)
        if kept:
            trained_on = set(matching_parameters(module, "keep", self.settings.keep).values())
            others = {name: param for name, param in module.named_parameters() if param not in trained_on}
            restore(module, {name: kept[name] for name in kept_names(module, others)})
        renew(module, self.settings, self.round + 1, self._initialize)

    def _shuffle(self, params: dict[str, nn.Parameter], round: int) -> None:
        shuffle_weights(params, derive_seed(self.settings.seed, "rewind", round))

    def _draw(self, module: nn.Module, round: int) -> None:
        seed = derive_seed(self.settings.seed, "rewind", round)
        reinitialize(module, seed, self._initialize, self.settings.redraw)


def renew(
    module: nn.Module,
    settings: Settings,
    round: int,
    initialize: Callable[[nn.Module], None] | None = None,
) -> None:
    """Draw what `settings.renew` names anew for a round, from a seed of its own; nothing for round 0.

    Raises:
        LotteryError: if a pattern matches no parameter, or one that is kept, or a parameter is not drawn.
    """
    if settings.renew and round:
        _check_renewed(module, settings)
        seed = derive_seed(settings.seed, "renew", round)
        reinitialize(module, seed, initialize, settings.renew, key="renew")


def _check_renewed(module: nn.Module, settings: Settings) -> None:
    """Raise LotteryError if a pattern of `settings.renew` matches nothing, or a parameter that is kept."""
    kept = matching_parameters(module, "keep", settings.keep)
    both = [name for name in matching_parameters(module, "renew", settings.renew) if name in kept]
    if both:
        raise LotteryError(f"renew: {both[0]!r} is kept, too; leave it out of keep, or of renew")


def references(params: Mapping[str, nn.Parameter]) -> dict[str, weakref.ref[nn.Parameter]]:
    """Return weak references to parameters."""
    return {name: weakref.ref(param) for name, param in params.items()}
