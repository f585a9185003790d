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
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn, optim

from lt_lightning.lottery.beginning import Beginning, references
from lt_lightning.lottery.choosing import Change, Chooser, Sources
from lt_lightning.lottery.freezing import Freezer
from lt_lightning.lottery.mask import Mask
from lt_lightning.lottery.pruning import load_functions
from lt_lightning.lottery.rewinding import (
    Start,
    snapshot,
    unset_buffers,
)
from lt_lightning.lottery.schedules.base import Timing
from lt_lightning.lottery.scores.memory import Memory
from lt_lightning.lottery.selection import prunable_parameters, require_finite
from lt_lightning.lottery.settings import LotteryError, Rewind, Settings

SourcesOf = Callable[[nn.Module], Sources]
"""Returns what criteria may ask for, for a part of a module."""


class Lottery(Beginning):
    """Rounds of train, prune, rewind on one module.

    Args:
        settings: how each round prunes and rewinds.
        initialize: draws weights again for `rewind=random`; see `reinitialize`.
        start: the mask and weights of round 0; None trains the whole module as it is.

    Attributes:
        round: the current or last round; -1 before the first.
        mask: the mask of that round.
        changes: the changes of the mask in that round so far, the one as it began included.
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
        self.changes: list[Change] = []
        self.schedule = settings.plan
        self._chooser = Chooser(settings)
        self._memory = Memory(settings.criterion)
        self._first_mask = self.mask  # of the round
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

    def begin_round(self, module: nn.Module, sources: SourcesOf | None = None) -> None:
        """Begin the next round: the first trains `module` as it is, each later one prunes and rewinds it.

        With schedules other than `rounds` the first round prunes `module`, and is the only one.

        A start's weights and mask are loaded in round 0; with `rewind=random` all other weights are drawn. A round that
        did not end begins again with its mask and the current weights. New trainable parameters join the mask.

        Args:
            module: the module.
            sources: returns what criteria may ask for, by name, for a module.

        Raises:
            LotteryError: if the settings or the start do not fit `module`, it is another module than before, its
                weights are not finite, or round 0 did not reach the rewinding point. Nothing is changed then.
        """
        from lt_lightning.lottery.joint import begin_rounds

        begin_rounds([(self, module)], sources)

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
        self._memory.move_beside(params)
        self.mask.apply_(params)
        self._trained = references({name: params[name] for name in self.mask})

    def change_mask(
        self,
        module: nn.Module,
        step: int,
        timing: Timing,
        gradients: Mapping[str, Tensor] | None = None,
        sources: SourcesOf | None = None,
    ) -> Change | None:
        """Change the mask during a round as the schedule asks, and set pruned entries to zero.

        Entries that grow are zero. A new `freezer` must replace the one of the mask before.

        Args:
            module: the module.
            step: the optimizer steps of the round so far.
            timing: when masks change, from the schedule's `time`.
            gradients: sums of dense gradients by parameter name, for schedules that grow by them.
            sources: as for `begin_round`.

        Returns:
            The change, or None if the mask stays the same.

        Raises:
            LotteryError: if weights are not finite.
        """
        everyone = dict(module.named_parameters())
        params = {name: everyone[name] for name in self.mask}
        require_finite(params, f"step {step:,} of round {self.round}: the weights")
        of = {**(sources(module) if sources is not None else {}), **self._memory.sources(params)}
        mask = self._chooser.change(module, params, self.mask, self.round, step, timing, gradients or {}, of)
        change = Change.between(step, self.mask, mask)
        if change is not None:
            self.mask = mask
            self.changes.append(change)
            mask.apply_(params)
        return change

    def restart_round(self) -> None:
        """Return to the mask that the round began with; forget the weights observed in round 0."""
        self.mask, self.changes = self._first_mask, [one for one in self.changes if not one.step]
        self._memory = self._memory.renewed({})
        if self.round == 0 and not self.rewind.at_start:
            self._rewind_weights = None

    def forget(self) -> None:
        """Forget a round 0 that did not end; the next one begins with the module's current weights."""
        self.round, self.training, self.mask, self.changes = -1, False, Mask({}), []
        self._rewind_weights, self._trained = None, {}
        self._memory = Memory(self.settings.criterion)

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

    def observe_gradients(self, module: nn.Module, optimizer: optim.Optimizer | None = None) -> None:
        """Add the gradients of an optimizer step that is about to be taken to what the criterion `movement` asks for.

        Args:
            module: the module.
            optimizer: the optimizer; None if it steps all parameters.
        """
        if self._memory.has_movement:
            params = dict(module.named_parameters())
            groups = [] if optimizer is None else optimizer.param_groups
            stepping = None if optimizer is None else [param for group in groups for param in group["params"]]
            self._memory.add_step({name: params[name] for name in self.mask}, stepping)

    def observe_start(self, module: nn.Module) -> None:
        """Save the first weights of round 0 again, as processes may have synchronised them."""
        if self.round == 0:
            self._memory.start(dict(module.named_parameters()))
        if self.round != 0 or not self.rewind.at_start:
            return
        before = self._rewind_weights or {}
        self._remember(module)
        # Pruned entries are zero by now, not their first values. A shared parameter has several names.
        everyone = dict(module.named_parameters(remove_duplicate=False))
        masks = {id(everyone[name]): alive for name, alive in self.mask.items() if name in everyone}
        weights = self._rewind_weights or {}
        for name, kept in before.items():
            if name in everyone and (alive := masks.get(id(everyone[name]))) is not None:
                weights[name] = torch.where(alive.to(kept.device), weights[name].to(kept.device), kept)

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
        self._trained = references(living)
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
            **({"changes": [asdict(one) for one in self.changes]} if self.changes else {}),
            **({"memory": memory} if (memory := self._memory.state_dict()) else {}),
            **({"goal": self._goal} if self.schedule.is_single else {}),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load what `state_dict` returned; without `rewind_weights` the current ones are kept.

        Raises:
            LotteryError: if the state is of a round of another schedule or density.
        """
        goal, own = state.get("goal", "schedule=rounds"), self._goal if self.schedule.is_single else "schedule=rounds"
        if state["training"] and goal != own:
            raise LotteryError(f"schedule: the checkpoint is of a round with {goal}, not {own}; resume with the former")
        self.round = state["round"]
        self.training = state["training"]
        self.mask = Mask(state["mask"])
        self.changes = [Change(**one) for one in state.get("changes", ())]
        self._memory = Memory(self.settings.criterion)
        self._memory.load_state_dict(state.get("memory", {}))
        self._rewind_weights = state.get("rewind_weights", self._rewind_weights)
        self._rewind_unset = state.get("rewind_unset", self._rewind_unset)
        self._trained, self._frozen = {}, set()

    @property
    def _goal(self) -> str:
        """Return the schedule and what it aims at."""
        settings = self.settings
        return f"schedule={settings.schedule} density={settings.density} pattern={settings.pattern}"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_trained": {}}  # a copy works on other parameters

    def _remember(self, module: nn.Module) -> None:
        self._rewind_weights, self._rewind_unset = snapshot(module), unset_buffers(module)
