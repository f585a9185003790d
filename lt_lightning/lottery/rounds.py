"""Run a lottery with any training loop: keep the state that one round passes to the next.

    lottery = Lottery(Settings(rewind="init"))
    for _ in range(rounds):
        lottery.begin_round(module)      # from the second round on: prune, rewind
        freezer = lottery.freezer(module)
        ...                              # train with a new optimizer: freezer.watch([optimizer]), lottery.observe(…)
        lottery.end_round(module)

Iterative magnitude pruning after Frankle and Carbin 2019, https://arxiv.org/abs/1803.03635.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from lt_lightning.lottery.freezing import Freezer
from lt_lightning.lottery.mask import Mask
from lt_lightning.lottery.pruning import load_functions, prune
from lt_lightning.lottery.rewinding import Start, named_state, reinitialize, restore, snapshot, unset_buffers
from lt_lightning.lottery.scoring import Sources, compute_scores
from lt_lightning.lottery.seeds import derive_seed
from lt_lightning.lottery.selection import matching_parameters, prunable_parameters, require_finite, require_own_memory
from lt_lightning.lottery.settings import LotteryError, Rewind, Settings


class Lottery:
    """Rounds of train, prune, rewind on one module.

    Args:
        settings: how each round prunes and rewinds.
        initialize: draws weights again for `rewind=random`; see `reinitialize`.
        start: the mask and weights of round 0; None trains the whole module as it is.

    Attributes:
        round: the current or last round; -1 before the first.
        mask: the mask of that round.
        training: whether the round has begun and not ended.
    """

    def __init__(
        self, settings: Settings, initialize: Callable[[nn.Module], None] | None = None, start: Start | None = None
    ) -> None:
        self.settings = settings
        self.rewind = Rewind.parse(settings.rewind)
        load_functions(settings)  # raises early
        self.round = -1
        self.mask = Mask({})
        self.training = False
        self._initialize = initialize
        self._start = start
        self._rewind_weights: dict[str, Tensor] | None = None
        self._rewind_unset: list[str] = []
        self._trained: dict[str, weakref.ref[nn.Parameter]] = {}
        self._frozen: set[str] = set()  # as the last round ended

    @property
    def writes_first(self) -> bool:
        """Return whether round 0 replaces the module's weights."""
        return self._start is not None

    def can_start(self, module: nn.Module) -> bool:
        """Return whether there is a start; raise LotteryError if it or the settings do not fit `module`."""
        if self._start is not None:
            self._start.check(module, self.parameters(module))
        return self._start is not None

    def parameters(self, module: nn.Module) -> dict[str, nn.Parameter]:
        """Return the parameters of `module` that this lottery prunes, by name."""
        return prunable_parameters(module, self.settings.include, self.settings.exclude)

    def freezer(self, module: nn.Module) -> Freezer:
        """Return a `Freezer` of the pruned entries of `module` in this round."""
        params = dict(module.named_parameters())
        return Freezer({name: params[name] for name in self.mask}, self.mask)

    def begin_round(self, module: nn.Module, sources: Sources | None = None) -> None:
        """Begin the next round: the first trains `module` as it is, each later one prunes and rewinds it.

        A start's weights and mask are loaded in round 0; with `rewind=random` all other weights are drawn. A round that
        did not end begins again with its mask and the current weights. New trainable parameters join the mask.

        Args:
            module: the module.
            sources: compute the inputs that some criteria ask for; `{"losses": lambda: losses}` serves all that need
                losses.

        Raises:
            LotteryError: if the settings or the start do not fit `module`, it is another module than before, its
                weights are not finite, or round 0 did not reach the rewinding point. Nothing is changed then.
        """
        from lt_lightning.lottery.joint import begin_rounds

        begin_rounds([(self, module, sources)])

    def require_same(self, module: nn.Module) -> None:
        """Raise LotteryError if `module` has replaced parameters of the current or last round."""
        params = dict(module.named_parameters())
        for name, trained in self._trained.items():
            if name in params and trained() is not params[name]:
                raise LotteryError(
                    f"the parameter {name!r} is not the one that round {self.round} began with: a new module, a layer "
                    "that setup() or configure_model() builds in each fit, or load_state_dict(assign=True) brings "
                    "weights that no round trained; use one module in all rounds, and build its layers once"
                )

    def continue_round(self, module: nn.Module) -> None:
        """Move the mask to the parameters' device and set pruned entries to zero.

        Raises:
            LotteryError: if `module` does not have the parameters of the round.
        """
        self.require_same(module)
        params = dict(module.named_parameters())
        self.mask = self.mask.beside(params)
        self.mask.apply_(params)
        self._trained = _references({name: params[name] for name in self.mask})

    def restart_round(self) -> None:
        """Forget the weights observed in round 0, which is repeated from its first weights."""
        if self.round == 0 and not self.rewind.at_start:
            self._rewind_weights = None

    def forget(self) -> None:
        """Forget a round 0 that did not end; the next one begins with the module's current weights."""
        self.round, self.training, self.mask = -1, False, Mask({})
        self._rewind_weights, self._trained = None, {}

    def observe(
        self, module: nn.Module, *, epochs: int | None = None, steps: int | None = None, again: bool = False
    ) -> None:
        """Save the weights if round 0 has reached the rewinding point.

        Args:
            module: the module.
            epochs: epochs of the round so far.
            steps: optimizer steps of the round so far.
            again: replace weights that are saved already.
        """
        reached = epochs if self.rewind.point == "epoch" else steps
        is_new = again or self._rewind_weights is None
        if self.round == 0 and is_new and self.rewind.at and self.rewind.at == reached:
            self._remember(module)

    def observe_start(self, module: nn.Module) -> None:
        """Save the first weights of round 0 again, as processes may have synchronised them."""
        if self.round == 0 and self.rewind.at_start:
            self._remember(module)

    def end_round(self, module: nn.Module) -> None:
        """End the round. Parameters unfrozen during the round join the mask.

        Raises:
            LotteryError: if weights are not finite or parameters were replaced; the round has ended all the same.
        """
        if self.round == 0 and self.rewind.point == "last":
            self._remember(module)
        self.training = False
        self._frozen = {name for name, param in module.named_parameters() if not param.requires_grad}
        self.require_same(module)
        with suppress(LotteryError):  # the whole module may be frozen now
            self.mask = self.mask.extended(self.parameters(module))
        params = dict(module.named_parameters())
        living = {name: params[name] for name in self.mask if name in params}
        self._trained = _references(living)
        require_finite(living, f"the weights that round {self.round} left in")

    def state_dict(self) -> dict[str, Any]:
        """Return the state: plain values and CPU tensors."""
        weights = self._rewind_weights
        return {
            "round": self.round,
            "training": self.training,
            "mask": {name: tensor.cpu() for name, tensor in self.mask.items()},
            "rewind_weights": None if weights is None else {name: tensor.cpu() for name, tensor in weights.items()},
            "rewind_unset": list(self._rewind_unset),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load what `state_dict` returned; without `rewind_weights` the current ones are kept."""
        self.round = state["round"]
        self.training = state["training"]
        self.mask = Mask(state["mask"])
        self._rewind_weights = state.get("rewind_weights", self._rewind_weights)
        self._rewind_unset = state.get("rewind_unset", self._rewind_unset)
        self._trained, self._frozen = {}, set()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_trained": {}}  # a copy works on other parameters

    def plan(self, module: nn.Module, sources: Sources | None = None) -> tuple[dict[str, nn.Parameter], Mask | None]:
        """Return the prunable parameters and mask of the next round (None for round 0), or raise LotteryError."""
        if self.training:
            self.require_same(module)
            params = dict(module.named_parameters())
            mask = self.mask.beside(params)
            return {name: params[name] for name in mask}, mask
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
        everyone = dict(module.named_parameters())
        self._require_trainable(everyone)
        mask = self.mask.beside(everyone).extended(params)
        params = {name: everyone[name] for name in mask}
        require_finite(params, f"the weights that round {self.round} left in")
        rewound = {name: value for name, value in (self._rewind_weights or {}).items() if name in mask}
        require_finite(rewound, f"rewind: the weights of {self.rewind} of")
        return params, self._pruned(mask, params, module, sources or {})

    def rewrite(self, module: nn.Module, params: dict[str, nn.Parameter], mask: Mask | None) -> Mask:
        """Write the first weights of the planned round, and return its mask."""
        if mask is None:
            if self._start is None:
                return Mask.ones(params)
            if self.rewind.point == "random":
                # The module may have been built from the seed of the run that found the mask.
                self._draw(module, round=0)
            return self._start.begin_(module, params)
        if not self.training:
            self._rewind(module)
        return mask

    def enter(self, module: nn.Module, params: dict[str, nn.Parameter], mask: Mask) -> None:
        """Enter the planned round and set pruned entries to zero."""
        if not self.training:
            self.round += 1
            for name, value in named_state(module):
                if self._rewind_weights is not None and name not in self._rewind_weights:
                    self._rewind_weights[name] = value.detach().clone()  # new: rewind to this
        mask.apply_(params)
        if not self.training:
            self.observe_start(module)
        self.mask = mask
        self._trained = _references(params)
        self.training = True

    def _check_draw(self, module: nn.Module) -> None:
        """Raise before training if later rounds cannot draw weights again."""
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

    def _require_trainable(self, params: Mapping[str, Tensor]) -> None:
        """Raise LotteryError if a parameter was frozen since the last round."""
        for name in self.mask:
            if name in params and not params[name].requires_grad and name not in self._frozen:
                raise LotteryError(
                    f"the parameter {name!r} is frozen since round {self.round} ended; let it train "
                    "(requires_grad=True), and put a callback that freezes layers in its setup after this one"
                )

    def _pruned(self, mask: Mask, params: dict[str, nn.Parameter], module: nn.Module, sources: Sources) -> Mask:
        settings = self.settings
        generator = torch.Generator().manual_seed(derive_seed(settings.seed, "criterion", self.round + 1))
        options = {} if settings.temperature is None else {"temperature": settings.temperature}
        scores = compute_scores(
            settings.criterion, mask, module=module, parameters=params, generator=generator, sources=sources,
            options=options,
        )  # fmt: skip
        return prune(scores, mask, settings.amount, scope=settings.scope, threshold=settings.threshold)

    def _rewind(self, module: nn.Module) -> None:
        if self.rewind.point == "random":
            self._draw(module, self.round + 1)
        elif self._rewind_weights is not None:
            restore(module, self._rewind_weights, self._rewind_unset)

    def _remember(self, module: nn.Module) -> None:
        self._rewind_weights, self._rewind_unset = snapshot(module), unset_buffers(module)

    def _draw(self, module: nn.Module, round: int) -> None:
        seed = derive_seed(self.settings.seed, "rewind", round)
        reinitialize(module, seed, self._initialize, self.settings.redraw)


def _references(params: Mapping[str, nn.Parameter]) -> dict[str, weakref.ref[nn.Parameter]]:
    return {name: weakref.ref(param) for name, param in params.items()}
