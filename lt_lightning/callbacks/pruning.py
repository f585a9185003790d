"""Run the rounds of a lottery as a series of Lightning fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
from torch import Tensor, nn

from lt_lightning.callbacks.changing import warn_of_collapse
from lt_lightning.callbacks.copies import KnownTensors, StaleCopies
from lt_lightning.callbacks.evaluations import EvaluationGuard
from lt_lightning.callbacks.holding import FitState, Hold
from lt_lightning.callbacks.hooks import call_hook, callbacks_of
from lt_lightning.callbacks.losses import TrainingLosses
from lt_lightning.callbacks.refusals import (
    NoStepError,
    check_trainer,
    is_trained_by,
    note_trained,
)
from lt_lightning.callbacks.restarting import RestartingCallback
from lt_lightning.lottery import Lottery, LotteryError, Mask, Settings, Start
from lt_lightning.lottery.choosing import Change
from lt_lightning.lottery.criteria import Criterion
from lt_lightning.lottery.joint import begin_rounds
from lt_lightning.lottery.rewinding import digest, named_state, restore, snapshot, unset_buffers
from lt_lightning.lottery.schedules.during_training import Time
from lt_lightning.lottery.selection import require_own_memory
from lt_lightning.lottery.settings import Scope, Threshold


class PruningCallback(RestartingCallback):
    """Run a lottery with any LightningModule: one `Trainer.fit` is one round.

    The first fit trains the whole network, or the ticket `start`. When a later fit starts, the callback prunes the
    share `amount` of the living entries and rewinds the others. During a fit, pruned entries get no gradient and stay
    exactly 0.0. Use the same callback and module in every fit, and a new Trainer for each:

        pruning = PruningCallback(amount=0.2, rewind="init")
        for round in range(5):
            pl.Trainer(max_epochs=3, callbacks=[pruning]).fit(module, datamodule)
            print(round, pruning.mask.sparsity)

    Lightning's checkpoints hold the callback's state, so `fit(ckpt_path=…)` continues a round. `test`, `validate` and
    `predict` do not change the lottery. Several callbacks can prune different parameters of one module. If a callback
    has a method `before_pruning(trainer, pl_module)` or `after_pruning`, it is called then. See `docs/callback.md`.

    Arguments that are not below are those of `lt_lightning.lottery.Settings`.

    Args:
        amount: the share of the living entries that a round prunes, in (0, 1), or a list with one share per round.
        criterion: the name of a criterion, a function that scores, or its path; see `lt_lightning.lottery.criteria`.
        scope: `layerwise`, `global`, `erk`, or a function that returns counts, or its path; see
            `lt_lightning.lottery.prune`.
        threshold: `count`: exactly round(amount × alive) entries go; `percentile`: see `lt_lightning.lottery.prune`.
        rewind: `init`, `epoch:K`, `step:K`, `last`, `random`, `shuffle` or `none`.
        include: fnmatch patterns of the parameters to prune.
        exclude: fnmatch patterns of parameters that are not pruned.
        redraw: fnmatch patterns of the parameters that `rewind="random"` draws again.
        seed: seeds random criteria, `rewind="random"` and all other draws.
        submodule: the part of the module to prune and rewind; parameter names are relative to it.
        initialize: draws the weights again for `rewind="random"`; see `lt_lightning.lottery.reinitialize`.
        start: a mask and weights for the first fit, such as a ticket of another run.

    Raises:
        LotteryError: if a setting is out of its range, a fit cannot be a round, or it trains nothing or diverges.
    """

    def __init__(
        self,
        *,
        amount: float | Sequence[float] = Settings.amount,
        criterion: str | Criterion = Settings.criterion,
        scope: Scope = Settings.scope,
        threshold: Threshold = Settings.threshold,
        rewind: str = Settings.rewind,
        include: Sequence[str] = Settings.include,
        exclude: Sequence[str] = Settings.exclude,
        redraw: Sequence[str] = Settings.redraw,
        seed: int = Settings.seed,
        keep: Sequence[str] = Settings.keep,
        mask: str = Settings.mask,
        pattern: str = Settings.pattern,
        schedule: str = Settings.schedule,
        amount_of: str | None = None,
        amounts: Mapping[str, float] | None = None,
        density: float | None = None,
        iterations: int | None = None,
        initial: float | None = None,
        begin: Time | None = None,
        end: Time | None = None,
        every: int | None = None,
        drop_fraction: float | None = None,
        grow_batches: int | None = None,
        score_batches: int = Settings.score_batches,
        temperature: float | None = None,
        renew: Sequence[str] = Settings.renew,
        submodule: str = "",
        initialize: Callable[[nn.Module], None] | None = None,
        start: Start | None = None,
    ) -> None:
        settings = Settings(
            amount, criterion, scope, threshold, rewind, include, exclude, redraw, seed, keep, mask, pattern, schedule,
            amount_of, amounts, density, iterations, initial, begin, end, every, drop_fraction, grow_batches,
            score_batches, temperature, renew,
        )  # fmt: skip
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
        """Return the checkpoint key of this callback, distinct for each part and pattern."""
        settings, patterns = self._lottery.settings, {}
        if (list(settings.include), list(settings.exclude)) != (list(Settings.include), list(Settings.exclude)):
            patterns = {"include": list(settings.include), "exclude": list(settings.exclude)}
        return self._generate_state_key(submodule=self._submodule, **patterns)

    @property
    def round(self) -> int:
        """Return the current or last round; -1 before the first."""
        return self._lottery.round

    @property
    def mask(self) -> Mask:
        """Return the mask of that round."""
        return self._lottery.mask

    @property
    def keeps_weights(self) -> bool:
        """Return whether later rounds rewind to weights of the first."""
        return self._lottery.rewind.point not in ("random", "none")

    @property
    def changes(self) -> Sequence[Change]:
        """Return the changes of the mask in that round, with the step, what was dropped and grown, and densities."""
        return tuple(self._lottery.changes)

    def module(self, pl_module: pl.LightningModule) -> nn.Module:
        """Return the pruned part of `pl_module`."""
        try:
            return pl_module.get_submodule(self._submodule)
        except AttributeError:
            names = ", ".join(name for name, _ in pl_module.named_children())
            raise LotteryError(
                f"submodule: {type(pl_module).__name__} has no part {self._submodule!r}; it has: {names}"
            ) from None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Begin the round: prune and rewind before optimizers and other callbacks copy the weights."""
        self._stage = stage
        group = _lotteries(trainer)
        if self is not group[0]:
            return
        if stage != "fit":
            if is_trained_by(pl_module, self.state_key, self._token) or self._begun is not None:
                self._evaluations.begin(pl_module)
        else:
            check_trainer(trainer)
            for one in group:
                one._renew_fit()
                one._evaluations.undo(pl_module)
            lotteries = [dict(vars(one._lottery)) for one in group]
            self._fit.before = snapshot(pl_module), unset_buffers(pl_module), lotteries
            earlier = callbacks_of(trainer)[: callbacks_of(trainer).index(self)]
            copies = StaleCopies(pl_module, earlier, self._known)
            self._restart(pl_module, group)
            call_hook("before_pruning", trainer, pl_module)
            early = [one for one in group if one._begins_early(pl_module)]
            _begin_rounds(trainer, pl_module, early, restores=False)
            copies.renew()
            call_hook("after_pruning", trainer, pl_module)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Raise if the checkpoint is of a round that has ended; load the state that 0.4 saved under another key."""
        states, old = checkpoint.get("callbacks", {}), self._generate_state_key(submodule=self._submodule)
        state = states.get(self.state_key, states.get(old))
        if state is None or self._stage != "fit":
            return
        if state["round"] <= self._fit.ended:
            raise LotteryError(
                f"the checkpoint {trainer.ckpt_path} is of round {state['round']}, which this callback has ended: fit "
                "without ckpt_path for the next round, or resume with a new callback to train that round again "
                "(on a SLURM cluster Lightning loads hpc_ckpt_*.ckpt from default_root_dir: delete it)"
            )
        if self.state_key not in states:
            self.load_state_dict(state)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin rounds that could not begin in `setup`, and move the mask to the parameters' device."""
        group = _lotteries(trainer)
        if self is group[0]:
            late = [one for one in group if not one._lottery.training]
            for one in late:
                one._check_late(trainer, pl_module)
            _begin_rounds(trainer, pl_module, late)
        module = self.module(pl_module)
        self._lottery.continue_round(module)
        warn_of_collapse(self.mask)
        require_own_memory(self._lottery.parameters(module), pl_module.named_parameters())
        if self._fit.is_first:
            self._lottery.observe_start(module)
        self._fit.hold = Hold(self._lottery.freezer(module), module)
        if self is group[-1]:
            # To restore if the fit fails; a resumed fit continues from its checkpoint instead.
            group[0]._begun = None if self._fit.is_resumed else snapshot(pl_module)
            group[0]._fit.before = None

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Raise if the fit trained nothing."""
        may_step_unseen = self._fit.batches and not pl_module.automatic_optimization  # with its own optimizers
        if not self._fit.all_steps and not may_step_unseen:
            raise NoStepError(
                f"the fit of round {self.round} took no optimizer step, so it is not a round: make a new Trainer for "
                "each, whose max_epochs, max_steps, max_time and data allow some; the next fit takes the round up"
            )
        self._fit.is_over = True

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """End the round with the final weights, after other callbacks have averaged or restored them."""
        self._stage = None
        if stage != "fit":
            self._evaluations.end(pl_module)
            return
        self._release()
        if self._fit.is_over and self._lottery.training:
            self._begun = None
            if self is _lotteries(trainer)[0]:  # it begins the next round of all
                self._known = KnownTensors(callbacks_of(trainer))
            module = self.module(pl_module)
            self._lottery.mask.apply_(dict(module.named_parameters()))
            note_trained(pl_module, self.state_key, self._token)
            self._lottery.end_round(module)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Remove all hooks; the next fit repeats the round. If training has not begun, restore everything."""
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
        """Return the state of the lottery."""
        changing = {} if self._fit.changes is None else {"changing": self._fit.changes.state_dict()}
        return {**self._lottery.state_dict(), "steps": self._fit.all_steps, **changing}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state of the lottery, unless an evaluation loads the checkpoint."""
        if self._stage not in (None, "fit"):
            return
        self._lottery.load_state_dict(state_dict)
        self._begun = None
        self._fit.is_first, self._fit.is_resumed = False, True
        self._fit.changing = state_dict.get("changing", {})
        self._fit.steps = state_dict.get("steps", int(state_dict["training"]))  # 0.4 did not count steps

    def __getstate__(self) -> dict[str, Any]:
        kept = {key: value for key, value in vars(self).items() if key not in ("log", "log_dict")}  # Lightning's
        new = {"_evaluations": EvaluationGuard(), "_known": KnownTensors(), "_begun": None, "_stopped": b""}
        return {**kept, **new, "_fit": FitState(steps=self._fit.all_steps)}


def _lotteries(trainer: pl.Trainer) -> list[PruningCallback]:
    return [one for one in callbacks_of(trainer) if isinstance(one, PruningCallback)]


def _begin_rounds(
    trainer: pl.Trainer, pl_module: pl.LightningModule, begins: Sequence[PruningCallback], *, restores: bool = True
) -> None:
    lotteries = [(one._lottery, one.module(pl_module)) for one in begins]
    batches = max((one._lottery.settings.score_batches for one in begins), default=1)
    begin_rounds(lotteries, TrainingLosses(trainer, pl_module, batches).sources, restores=restores)
