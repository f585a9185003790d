"""The pruning callback: a lottery ticket's rounds as a series of Lightning fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
from torch import Tensor, nn
from torch.optim import Optimizer

from lt_lightning.callbacks.copies import KnownTensors, StaleCopies
from lt_lightning.callbacks.evaluations import EvaluationGuard
from lt_lightning.callbacks.holding import FitState, Hold
from lt_lightning.callbacks.hooks import call_hook, callbacks_of
from lt_lightning.callbacks.refusals import (
    NoStepError,
    check_fresh,
    check_reachable,
    check_trainer,
    check_untrained,
    is_trained_by,
    note_trained,
)
from lt_lightning.lottery import Lottery, LotteryError, Mask, Settings, Start
from lt_lightning.lottery.criteria import Criterion
from lt_lightning.lottery.joint import begin_rounds
from lt_lightning.lottery.rewinding import digest, named_state, restore, snapshot, unset_buffers
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
        criterion: scores the entries: `magnitude`, `random`, a function such as those in
            `lt_lightning.lottery.criteria`, or its dotted path.
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
        criterion: str | Criterion = Settings.criterion,
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
        self._token = object()
        self._stage: str | None = None
        self._evaluations = EvaluationGuard()
        self._known = KnownTensors()
        self._fit = FitState()
        self._begun: dict[str, Tensor] | None = None
        self._stopped = b""

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
        group = _lotteries(trainer)
        if self is not group[0]:
            return
        if stage != "fit":
            if is_trained_by(pl_module, self.state_key, self._token) or self._begun is not None:
                self._evaluations.begin(pl_module)
        else:
            for one in group:
                one._prepare(trainer)
            for one in group:
                one._evaluations.undo(pl_module)
            before = snapshot(pl_module), unset_buffers(pl_module), [dict(vars(one._lottery)) for one in group]
            callbacks = callbacks_of(trainer)
            copies = StaleCopies(pl_module, callbacks[: callbacks.index(self)], self._known)
            self._restart(pl_module, group)
            call_hook("before_pruning", trainer, pl_module)
            begins = [one for one in group if one._begins_early(pl_module)]
            begin_rounds([(one._lottery, one.module(pl_module)) for one in begins])
            self._fit.before = before
            copies.renew()
            call_hook("after_pruning", trainer, pl_module)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Refuse a checkpoint of a round that has ended; find the state that version 0.4 kept under another key."""
        states, old = checkpoint.get("callbacks", {}), self._generate_state_key(submodule=self._submodule)
        state = states.get(self.state_key, states.get(old))
        if state is None or self._stage != "fit":
            return
        if state["round"] <= self._fit.ended:
            raise LotteryError(
                f"the checkpoint {trainer.ckpt_path} is of round {state['round']}, which this callback has ended: fit "
                "without ckpt_path for the next round, or resume with a new callback to train that round again "
                "(hpc_ckpt_*.ckpt in default_root_dir is loaded by itself on a SLURM cluster: delete it)"
            )
        if self.state_key not in states:
            self.load_state_dict(state)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin round 0, whose layers are complete by now, and lay the mask out where the parameters are now.

        Processes have made the first weights equal since `setup`, or a checkpoint has brought others.
        """
        group = _lotteries(trainer)
        if self is group[0]:
            late = [one for one in group if not one._lottery.training]
            for one in late:
                one._check_late(trainer, pl_module)
            begin_rounds([(one._lottery, one.module(pl_module)) for one in late])
        module = self.module(pl_module)
        self._lottery.continue_round(module)
        require_own_memory(self._lottery.parameters(module), pl_module.named_parameters())
        if self._fit.is_first:
            self._lottery.observe_start(module)
        self._fit.hold = Hold(self._lottery.freezer(module), module)
        if self is group[-1]:
            # What is put back if the fit does not end; a resumed one goes on from its checkpoint instead.
            group[0]._begun = None if self._fit.is_resumed else snapshot(pl_module)
            group[0]._fit.before = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take hold of the optimizers, whose state a checkpoint may just have filled."""
        if self.round <= 0:
            check_reachable(trainer, self._lottery.rewind)
        if self._fit.hold is not None:
            self._fit.hold.watch(trainer)
        self._freeze()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set pruned entries to zero, whatever wrote them, also since the epoch to rewind to ended."""
        self._freeze()
        self._lottery.observe(self.module(pl_module), epochs=trainer.current_epoch, again=True)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Set pruned entries to zero that were written since the last batch, also since the step to rewind to."""
        if self._fit.hold is not None:
            self._fit.hold.watch(trainer)
            # As an optimizer steps it is done again, before the loss is computed, but not in these cases.
            late = trainer.accumulate_grad_batches > 1 or "mixed" in str(trainer.precision)
            if late or not pl_module.automatic_optimization or self._fit.step == trainer.global_step:
                self._freeze(written=True)
        if self._fit.step == trainer.global_step:
            self._lottery.observe(self.module(pl_module), steps=trainer.global_step, again=True)
            self._fit.step = -1

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Freeze the gradients at once where a module steps, and may clip, by hand."""
        if self._fit.hold is not None and not pl_module.automatic_optimization:
            self._fit.hold.freeze_gradients()

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Freeze the pruned entries' gradients: after unscaling, before clipping.

        A batch can have several steps: what the weights are after the one before is seen here, and only here.
        """
        self._lottery.observe(self.module(pl_module), steps=trainer.global_step)
        if self._fit.hold is not None:
            self._fit.hold.freeze_gradients()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Set pruned entries to zero, and keep the weights if this is the step to rewind to."""
        self._fit.batches += 1
        self._freeze(written=True)
        if self._lottery.rewind.at == trainer.global_step and self._fit.step != trainer.global_step:
            self._fit.step = trainer.global_step if self._fit.seen < trainer.global_step else -1
            self._fit.seen = trainer.global_step
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
        may_step_unseen = self._fit.batches and not pl_module.automatic_optimization  # by optimizers of its own
        if not self._fit.all_steps and not may_step_unseen:
            raise NoStepError(
                f"the fit of round {self.round} took no optimizer step, so it is not a round: make a new Trainer for "
                "each, whose max_epochs, max_steps, max_time and data allow some; the next fit takes the round up"
            )
        self._fit.is_over = True

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Close the round on the weights that the fit leaves, after everything that averages or restores them."""
        self._stage = None
        if stage != "fit":
            self._evaluations.end(pl_module)
            return
        self._release()
        if self._fit.is_over and self._lottery.training:
            self._begun = None
            if self is _lotteries(trainer)[0]:  # the one that begins the next round of all
                self._known = KnownTensors(callbacks_of(trainer))
            module = self.module(pl_module)
            self._lottery.mask.apply_(dict(module.named_parameters()))
            note_trained(pl_module, self.state_key, self._token)
            self._lottery.end_round(module)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Let go of the optimizers; the round is not over, and the next fit starts it again.

        A fit that has not begun to train leaves everything as it was.
        """
        stage, self._stage = self._stage, None
        if stage != "fit":
            self._evaluations.end(pl_module)
            return
        self._release()
        if self._fit.before is not None:
            weights, unset, lotteries = self._fit.before
            restore(pl_module, weights, unset)
            for one, attributes in zip(_lotteries(trainer), lotteries, strict=True):
                vars(one._lottery).update(attributes)
            self._fit.before = None
        elif self._begun is not None:
            self._stopped = digest(named_state(pl_module))

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of the lottery."""
        return {**self._lottery.state_dict(), "steps": self._fit.all_steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the lottery up where a checkpoint left it; evaluations that load one leave it alone."""
        if self._stage not in (None, "fit"):
            return
        self._lottery.load_state_dict(state_dict)
        self._begun = None
        self._fit.is_first, self._fit.is_resumed = False, True
        self._fit.steps = state_dict.get("steps", int(state_dict["training"]))  # version 0.4 counted none

    def __getstate__(self) -> dict[str, Any]:
        kept = {key: value for key, value in vars(self).items() if key not in ("log", "log_dict")}  # Lightning's
        new = {"_evaluations": EvaluationGuard(), "_known": KnownTensors(), "_begun": None, "_stopped": b""}
        return {**kept, **new, "_fit": FitState(steps=self._fit.all_steps)}

    def _freeze(self, *, written: bool = False) -> None:
        if self._fit.hold is not None:
            self._fit.hold.freeze(written=written)

    def _release(self) -> None:
        self._fit.steps = self._fit.all_steps
        if self._fit.hold is not None:
            self._fit.hold.release()
            self._fit.hold = None

    def _prepare(self, trainer: pl.Trainer) -> None:
        """Check that the Trainer can train a round."""
        training = self._lottery.training
        check_trainer(trainer)
        ended = self.round - 1 if training else self.round
        self._fit = FitState(steps=self._fit.all_steps if training else 0, is_first=self.round < 0, ended=ended)

    def _restart(self, pl_module: pl.LightningModule, group: Sequence[PruningCallback]) -> None:
        """Put the weights back where a round that did not end began, unless others were loaded since."""
        if not any(one._lottery.training for one in group) or self._begun is None:
            return
        if self._stopped == digest(named_state(pl_module)):
            restore(pl_module, self._begun)
            for one in group:
                one._lottery.restart_round()
                one._fit.steps = 0
        else:
            for one in group:
                if one.round == 0:  # round 0 begins with whatever weights there are
                    one._lottery.forget()
                    one._fit.is_first = True

    def _begins_early(self, pl_module: pl.LightningModule) -> bool:
        """Return whether a round can begin in `setup`.

        Round 0 can if it has weights to write, and the module has their layers: it may yet build some in its `setup`.
        A module that is not the one of the round before may yet be resumed from a checkpoint.
        """
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
        """Check that a round can begin as the fit starts."""
        if self._fit.is_resumed:
            raise LotteryError(
                f"the checkpoint was written after round {self.round} had ended, so there is nothing to resume; for "
                "the next round load its weights and this callback's state yourself, and fit without ckpt_path"
            )
        if self.round < 0:
            check_untrained(pl_module, self.state_key, self._token)
            if self._lottery.writes_first:
                check_fresh(trainer)


def _lotteries(trainer: pl.Trainer) -> list[PruningCallback]:
    return [one for one in callbacks_of(trainer) if isinstance(one, PruningCallback)]
