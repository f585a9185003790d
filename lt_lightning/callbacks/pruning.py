"""The pruning callback: a lottery ticket's rounds as a series of Lightning fits."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import pytorch_lightning as pl
from torch import nn
from torch.optim import Optimizer

from lt_lightning.callbacks.copies import StaleCopies
from lt_lightning.callbacks.evaluations import EvaluationGuard
from lt_lightning.callbacks.hooks import call_hook, callbacks_of
from lt_lightning.callbacks.refusals import check_reachable, check_trainer, check_untrained, note_trained
from lt_lightning.lottery import Freezer, Lottery, LotteryError, Mask, Settings, Start
from lt_lightning.lottery.rounds import begin_rounds
from lt_lightning.lottery.selection import require_own_memory
from lt_lightning.lottery.settings import Scope, Threshold


class PruningCallback(pl.Callback):
    """Run a lottery with any LightningModule: one `Trainer.fit` is one round.

    The first fit trains the whole network, or what `start` leaves of it. As each later fit starts, the callback prunes
    the share `amount` of the entries still alive and rewinds the survivors; while a fit runs, pruned entries get no
    gradient (clipping does not count them) and stay exactly 0.0, whatever the optimizer, the module or another
    callback writes; as it ends, the callback keeps what the next round needs. Use the same callback and the same module
    in every fit, and a new Trainer for each:

        pruning = PruningCallback(amount=0.2, rewind="init")
        for round in range(5):
            trainer = pl.Trainer(max_epochs=3, callbacks=[pruning])
            trainer.fit(module, datamodule)
            print(round, pruning.mask.sparsity)

    A checkpoint that Lightning writes during a fit holds the callback's state, so `fit(ckpt_path=…)` goes on in the
    middle of a round. `test`, `validate` and `predict` change nothing, also where they load a checkpoint. Several
    callbacks can prune different parameters of one module. Callbacks with a method `before_pruning` or `after_pruning`
    (trainer, pl_module) are called around it. `docs/callback.md` has the promises in full.

    Args:
        amount: the share of the living entries that a round prunes, in (0, 1).
        criterion: the score of an entry: `magnitude` or `random`.
        scope: `layerwise`: each tensor gives up its own share; `global`: all entries compete.
        threshold: `count`: exactly round(amount × alive) entries go; `percentile`: see `lt_lightning.lottery.prune`.
        rewind: `init`, `epoch:K`, `step:K`, `last`, `random` or `none`.
        include: fnmatch patterns over parameter names; what matches one of them can be pruned.
        exclude: fnmatch patterns; what matches one of them cannot.
        redraw: fnmatch patterns of what `rewind="random"` draws again.
        seed: seeds what is random in pruning and rewinding.
        submodule: the part of the LightningModule to prune and rewind, by its name; all of it by default. Parameter
            names and patterns are relative to it.
        initialize: what draws the weights of the part again for `rewind="random"`; by default its `reset_parameters`
            methods (see `lt_lightning.lottery.reinitialize`).
        start: a mask, and weights, that the first fit begins with instead of the whole network: a ticket from
            elsewhere.

    Raises:
        LotteryError: if a setting is out of its range; when a fit starts, if the settings, the module, the Trainer or
            its strategy do not allow a round; when it ends, if it trained nothing or left weights that are not finite.
    """

    def __init__(
        self,
        *,
        amount: float = Settings.amount,
        criterion: str = Settings.criterion,
        scope: Scope = Settings.scope,
        threshold: Threshold = Settings.threshold,
        rewind: str = Settings.rewind,
        include: Sequence[str] = Settings.include,
        exclude: Sequence[str] = Settings.exclude,
        redraw: Sequence[str] = Settings.redraw,
        seed: int = Settings.seed,
        submodule: str = "",
        initialize: Callable[[nn.Module], None] | None = None,
        start: Start | None = None,
    ) -> None:
        settings = Settings(amount, criterion, scope, threshold, rewind, include, exclude, redraw, seed)
        if not isinstance(submodule, str):
            raise LotteryError(f"submodule: {submodule!r} is not a name; give a string, such as 'encoder'")
        if initialize is not None and not callable(initialize):
            raise LotteryError(f"initialize: {initialize!r} is not a function; give one that takes the module")
        if start is not None and not isinstance(start, Start):
            raise LotteryError(f"start: give a lt_lightning.lottery.Start, not {type(start).__name__}")
        self._lottery = Lottery(settings, initialize, start)
        self._submodule = submodule
        self._process = os.getpid()
        self._token = object()
        self._stage: str | None = None
        self._evaluations = EvaluationGuard()
        self._freezer: Freezer | None = None
        self._ends = ExitStack()
        # Of the fit: whether it began round 0, the round's optimizer steps so far, its batches, whether it has ended.
        self._is_first, self._steps, self._batches, self._is_over = False, 0, 0, False

    @property
    def state_key(self) -> str:
        """The key of this callback's state in a checkpoint: several callbacks may prune parts of one module."""
        settings, patterns = self._lottery.settings, {}
        if (list(settings.include), list(settings.exclude)) != (list(Settings.include), list(Settings.exclude)):
            patterns = {"include": list(settings.include), "exclude": list(settings.exclude)}
        return self._generate_state_key(submodule=self._submodule, **patterns)

    @property
    def round(self) -> int:
        """The round that is trained now or was last; -1 before the first."""
        return self._lottery.round

    @property
    def mask(self) -> Mask:
        """The mask of that round."""
        return self._lottery.mask

    def module(self, pl_module: pl.LightningModule) -> nn.Module:
        """Return the part of `pl_module` that is pruned and rewound."""
        try:
            return pl_module.get_submodule(self._submodule)
        except AttributeError:
            names = ", ".join(name for name, _ in pl_module.named_children())
            raise LotteryError(
                f"submodule: {type(pl_module).__name__} has no part {self._submodule!r}; it has: {names}"
            ) from None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Begin the round: prune and rewind before optimizers, and other callbacks, copy the weights."""
        self._stage = stage
        callbacks = callbacks_of(trainer)
        group = _lotteries(trainer)
        if stage != "fit":
            if self.round >= 0 and not self._lottery.training:
                self._evaluations.begin(pl_module)
        elif self is group[0]:
            for one in group:
                one._prepare(trainer, pl_module)
            call_hook("before_pruning", trainer, pl_module)
            begins = [one for one in group if one.round >= 0 or one._starts_early(pl_module)]
            copies = StaleCopies(pl_module, callbacks[: callbacks.index(self)] if begins else ())
            begin_rounds([(one._lottery, one.module(pl_module)) for one in begins])
            copies.renew()
            call_hook("after_pruning", trainer, pl_module)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin round 0, whose layers are complete by now, and lay the mask out where the parameters are now.

        Processes have made the first weights equal since `setup`, or a checkpoint has brought others.
        """
        group = _lotteries(trainer)
        if self is group[0]:
            begins = [one for one in group if one.round < 0 or one._lottery.training]
            for one in begins:
                one._require_fresh_optimizers(trainer)
            begin_rounds([(one._lottery, one.module(pl_module)) for one in begins])
        if not self._lottery.training:
            raise LotteryError(
                f"the checkpoint was written after round {self.round} had ended, so there is nothing to resume; for "
                "the next round load its weights and this callback's state yourself, and fit without ckpt_path"
            )
        module = self.module(pl_module)
        require_own_memory(self._lottery.parameters(module), pl_module.named_parameters())
        if self._is_first:
            self._lottery.observe_start(module)
        self._freezer = self._lottery.freezer(module)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take hold of the optimizers, whose state a checkpoint may just have filled."""
        if self.round <= 0:
            check_reachable(trainer, self._lottery.rewind)
        self._ends.close()
        if self._freezer is not None:
            module = self.module(pl_module)
            for handle in self._freezer.watch(trainer.optimizers):
                self._ends.callback(handle.remove)
            self._freezer.tell(module)
            self._ends.callback(self._freezer.tell, module, over=True)
            self._freezer.freeze_weights()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set pruned entries to zero, whatever wrote them."""
        self._freeze()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Set pruned entries to zero that were written since the last batch."""
        self._freeze(written=True)

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Freeze the gradients at once where a module steps, and may clip, by hand."""
        if self._freezer is not None and not pl_module.automatic_optimization:
            self._freezer.freeze_gradients()

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Freeze the pruned entries' gradients: after unscaling, before clipping.

        A batch can have several steps: what the weights are after the one before is seen here, and only here.
        """
        self._lottery.observe(self.module(pl_module), steps=trainer.global_step)
        if self._freezer is not None:
            self._freezer.freeze_gradients()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Set pruned entries to zero, and keep the weights if this is the step to rewind to."""
        self._batches += 1
        self._freeze(written=True)
        self._lottery.observe(self.module(pl_module), steps=trainer.global_step)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set pruned entries to zero before they are measured."""
        self._freeze()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set pruned entries to zero before a checkpoint holds them."""
        self._freeze()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set pruned entries to zero, and keep the weights if this is the epoch to rewind to."""
        self._freeze()
        self._lottery.observe(self.module(pl_module), epochs=trainer.current_epoch + 1)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set pruned entries to zero."""
        self._freeze()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note that the fit is over, and check that it trained something."""
        self._count_steps()
        may_step_unseen = self._batches and not pl_module.automatic_optimization  # by optimizers of the module's own
        if not self._steps and not may_step_unseen:
            raise LotteryError(
                f"the fit of round {self.round} took no optimizer step, so it is not a round: make a new Trainer for "
                "each, whose max_epochs, max_steps, max_time and data allow some; the next fit takes the round up"
            )
        self._is_over = True

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Close the round on the weights that the fit leaves, after everything that averages or restores them."""
        self._stage = None
        if stage != "fit":
            self._evaluations.end(pl_module)
            return
        self._release()
        if self._is_over and self._lottery.training:
            module = self.module(pl_module)
            self._lottery.mask.apply_(dict(module.named_parameters()))
            note_trained(pl_module, self.state_key, self._token)
            self._lottery.end_round(module)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Let go of the optimizers; the round is not over and the next fit takes it up again."""
        self._count_steps()
        self._release()
        self._stage = None

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of the lottery."""
        return {**self._lottery.state_dict(), "steps": self._steps + (self._freezer.steps if self._freezer else 0)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the lottery up where a checkpoint left it; evaluations that load one leave it alone."""
        if self._stage not in (None, "fit"):
            return
        self._lottery.load_state_dict(state_dict)
        self._is_first = False
        self._steps = state_dict.get("steps", int(state_dict["training"]))  # version 0.4 counted none

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Find the state that version 0.4 kept under a key without patterns."""
        old = self._generate_state_key(submodule=self._submodule)
        states = checkpoint.get("callbacks", {})
        if self.state_key not in states and old in states:
            self.load_state_dict(states[old])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_freezer": None, "_ends": ExitStack(), "_evaluations": EvaluationGuard()}

    def _freeze(self, *, written: bool = False) -> None:
        if self._freezer is not None:
            self._freezer.freeze_weights(written=written)

    def _count_steps(self) -> None:
        if self._freezer is not None:
            self._steps, self._freezer.steps = self._steps + self._freezer.steps, 0

    def _release(self) -> None:
        self._ends.close()
        self._freezer = None

    def _prepare(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check that the fit can be a round, and put the module back where the last one left it."""
        begins = not self._lottery.training
        check_trainer(trainer, in_another_process=os.getpid() != self._process, later=begins and self.round >= 0)
        if self.round < 0:
            check_untrained(pl_module, self.state_key, self._token)
        self._is_first, self._batches, self._is_over = self.round < 0, 0, False
        if begins:
            self._steps = 0
            self._evaluations.undo(pl_module)

    def _starts_early(self, pl_module: pl.LightningModule) -> bool:
        """Return whether round 0 writes weights, and the module has them: it may yet build layers in its `setup`."""
        try:
            return self._lottery.can_start(self.module(pl_module))
        except LotteryError:
            return False

    def _require_fresh_optimizers(self, trainer: pl.Trainer) -> None:
        if self.round < 0 and self._lottery.writes_first and any(one.state for one in trainer.optimizers):
            raise LotteryError(
                "start: the module builds its layers so late, and the optimizer copies their weights so early, that "
                "it holds others than the start's; build the layers in __init__"
            )


def _lotteries(trainer: pl.Trainer) -> list[PruningCallback]:
    return [one for one in callbacks_of(trainer) if isinstance(one, PruningCallback)]
