"""Compute a LightningModule's training loss outside of a fit, for criteria that ask for losses or an example."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import islice
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import CombinedLoader, rank_zero_info
from pytorch_lightning.utilities.seed import isolate_rng
from pytorch_lightning.utilities.signature_utils import is_param_in_hook_signature
from torch import Tensor, nn

from lt_lightning.callbacks.loaders import untouched
from lt_lightning.callbacks.rows import count_rows, take_row
from lt_lightning.lottery import LotteryError
from lt_lightning.lottery.scores.losses import Losses
from lt_lightning.lottery.scores.scoring import Sources

_FEW = 0.9
"""The share of an embedding's rows below which a line is logged."""


class TrainingLosses:
    """The losses of a LightningModule on its first training batches.

    A copy of the module computes them in evaluation mode (no dropout, no updates of running statistics), so that
    buffers, metrics, gradients and logs stay as they are. The batches are loaded once, on first use.

    Args:
        trainer: the Trainer of the fit that starts; the DataModule's `setup` has run.
        pl_module: the module, whose `training_step` returns the loss.
        batches: the number of batches.
    """

    def __init__(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batches: int) -> None:
        self._trainer = trainer
        self._module = pl_module
        self._count = batches
        self._batches = cache(self._load)  # on first use
        self._logged: set[str] = set()

    def sources(self, part: nn.Module) -> Sources:
        """Return functions that compute `module`, `losses` and `example` for a part of the module as it is now.

        Calling them raises a LotteryError if the module optimizes manually, cannot be copied, or does not call `part`.
        """
        path = next(path for path, one in self._module.named_modules() if one is part)
        twin = cache(lambda: _Twin(self._trainer, self._module, path, list(enumerate(self._batches()))))
        return {
            "module": lambda: twin().part,
            "losses": cache(lambda: self._losses(twin(), path)),
            "example": cache(lambda: twin().example()),
        }

    def _losses(self, twin: _Twin, path: str) -> Losses:
        if path not in self._logged:  # once in a fit
            self._logged.add(path)
            twin.log_seen_rows()
        return twin.losses()

    def _load(self) -> list[Any]:
        # Private: nothing else gives a loader that is passed to `fit`; a test passes loaders in all three ways.
        with isolate_rng():
            loaders = self._trainer.fit_loop._data_source.dataloader()
            with untouched(loaders) as usable:
                combined = CombinedLoader(usable, "max_size_cycle")
                batches = iter(combined)
                return [batch for batch, _, _ in islice(batches, self._limit(combined))]

    def _limit(self, loader: CombinedLoader) -> int:
        """Return the number of batches to load: no more than a fit trains."""
        limit = self._trainer.limit_train_batches
        if isinstance(limit, float):
            total = len(loader)  # a number or infinity
            limit = self._count if limit == 1 or total == float("inf") else max(1, int(limit * total))
        return self._count if limit is None else min(self._count, limit)


class _Twin:
    """A copy of a module that computes losses.

    Attributes:
        part: the copy of the part whose parameters are scored.
    """

    def __init__(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, path: str, batches: Sequence[tuple[int, Any]]
    ) -> None:
        self._trainer = trainer
        self._path = path
        self._batches = batches
        self._module = _copy(pl_module)
        self._module.to(trainer.strategy.root_device)
        self._module.trainer = trainer
        self.part = self._module.get_submodule(path)

    def losses(self) -> Losses:
        """Return the losses of the batches."""
        functions = [(partial(self._step, batch, number), count_rows(batch) or 1) for number, batch in self._batches]
        return Losses(functions, self._by_row, self._reduce)

    def example(self) -> Any:
        """Return the arguments of the part's first call, as a tuple or, if some are named, a mapping."""
        found: list[Any] = []

        def keep(part: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            found.append(inspect.signature(part.forward).bind(*args, **kwargs).arguments if kwargs else args)
            raise _SeenError

        self._run_until_seen([(self.part, keep)], *self._batches[0])
        if not found:
            raise LotteryError(
                f"criterion: training_step of {type(self._module).__name__} does not call "
                f"{self._path or 'the module'}, so its input is unknown; set submodule to a part that it calls"
            )
        return found[0]

    def _by_row(self) -> Iterator[Any]:
        """Yield the losses of single rows; those of batches without a known number of rows as they are."""
        for number, batch in self._batches:
            rows = count_rows(batch)
            if not rows:
                yield partial(self._step, batch, number)
            for row in range(rows):
                yield partial(self._step, take_row(batch, row, rows, self._trainer.world_size), number), 1

    def _step(self, batch: Any, number: int) -> Any:
        """Return the loss of a batch, or a zero for no rows if `training_step` returns none."""
        module, precision = self._module, self._trainer.precision_plugin
        moved = precision.convert_input(self._trainer.strategy.batch_to_device(batch))
        takes_number = is_param_in_hook_signature(module.training_step, "batch_idx", min_args=2)  # as Lightning asks
        with precision.train_step_context():
            output = module.training_step(*(moved, number)[: 1 + takes_number])
        loss = output.get("loss") if isinstance(output, Mapping) else output
        return (torch.zeros(()), 0) if loss is None else loss

    def log_seen_rows(self) -> None:
        """Log the share of embedding rows that the batches contain, if it is low."""
        embeddings = {name: one for name, one in self.part.named_modules() if isinstance(one, nn.Embedding)}
        seen = {name: torch.zeros(one.num_embeddings, device=one.weight.device) for name, one in embeddings.items()}
        missing: set[str] = set()

        def look(name: str, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            ids = args[0] if args else kwargs["input"]
            seen[name][ids.reshape(-1)] = 1
            missing.discard(name)
            if not missing:
                raise _SeenError

        for number, batch in self._batches if embeddings else ():
            missing.update(embeddings)
            self._run_until_seen([(layer, partial(look, name)) for name, layer in embeddings.items()], number, batch)
        for name, rows in seen.items():
            share = float(self._trainer.strategy.reduce(rows, reduce_op="sum").ne(0).float().mean())
            if share < _FEW:
                rank_zero_info(
                    f"Scoring sees {share:.0%} of the rows of {name}.weight in {len(self._batches)} batches; the "
                    "others get no gradient: raise score_batches to see more."
                )

    def _run_until_seen(self, hooks: list[tuple[nn.Module, Callable[..., None]]], number: int, batch: Any) -> None:
        """Run `training_step` until a hook before a layer raises `_SeenError`."""
        handles = [layer.register_forward_pre_hook(hook, with_kwargs=True) for layer, hook in hooks]
        try:
            with torch.no_grad():
                self._step(batch, number)
        except _SeenError:
            pass
        finally:
            for handle in handles:
                handle.remove()

    def _reduce(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the means over processes."""
        return {name: self._trainer.strategy.reduce(value, reduce_op="mean") for name, value in values.items()}


def _copy(pl_module: pl.LightningModule) -> pl.LightningModule:
    """Return a copy of a module in evaluation mode that logs nothing."""
    name = type(pl_module).__name__
    if not pl_module.automatic_optimization:
        raise LotteryError(f"criterion: {name} optimizes manually, so its gradients are unknown; use another criterion")
    try:
        twin = copy.deepcopy(pl_module)
    except Exception as error:  # the attributes of a user's module may raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise LotteryError(
            f"criterion: losses are computed by a copy of the module, and {name} cannot be copied ({reason}); make "
            "its attributes copyable, or use another criterion"
        ) from error
    for method in ("log", "log_dict"):
        setattr(twin, method, _log_nothing)
    for one in twin.modules():
        one.training = False
    return twin


class _SeenError(BaseException):
    """Stops a `training_step` whose rest is not needed. Not an Exception, which modules may catch."""


def _log_nothing(*args: Any, **kwargs: Any) -> None:
    """Stand in for `self.log`, which needs a running loop."""
