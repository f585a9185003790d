"""Compute a LightningModule's training loss outside of a fit, for criteria that ask for losses or an example."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from itertools import islice
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import CombinedLoader
from pytorch_lightning.utilities.rank_zero import rank_zero_info
from pytorch_lightning.utilities.signature_utils import is_param_in_hook_signature
from torch import Tensor, nn

from lt_lightning.callbacks.loaders import kept_loader
from lt_lightning.callbacks.rows import count_rows, take_row
from lt_lightning.lottery import LotteryError
from lt_lightning.lottery.losses import Losses
from lt_lightning.lottery.scoring import Sources

BATCHES = 40
"""The number of training batches: of AG News, 40 batches of 64 contain four fifths of the words, one a ninth."""

_FEW = 0.9
"""The share of an embedding's rows below which a line is logged."""


class TrainingLosses:
    """The losses of a LightningModule on its first training batches.

    A copy of the module computes them in evaluation mode (no dropout, no updates of running statistics), so that
    buffers, metrics, gradients and logs stay as they are. The batches are loaded once.

    Args:
        trainer: the Trainer of the fit that starts; the DataModule's `setup` has run.
        pl_module: the module, whose `training_step` returns the loss.
        batches: the number of batches; `BATCHES` by default.
    """

    def __init__(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batches: int | None = None) -> None:
        self._trainer = trainer
        self._module = pl_module
        self._count = BATCHES if batches is None else batches
        # Computed on first use.
        self._twin = cache(self._copy)
        self._batches = cache(self._load)

    def sources(self, part: nn.Module) -> Sources:
        """Return functions that compute `module`, `losses` and `example` for a part of the module.

        Calling them raises a LotteryError if the module optimizes manually, cannot be copied, or does not call `part`.
        """
        path = next(path for path, one in self._module.named_modules() if one is part)
        return {
            "module": lambda: self._twin().get_submodule(path),
            "losses": cache(partial(self._losses, path)),
            "example": cache(partial(self._example, path)),
        }

    def _losses(self, path: str) -> Losses:
        self._log_seen_rows(path)
        functions = [(partial(self._step, batch, number), count_rows(batch) or 1) for number, batch in self._numbered()]
        return Losses(functions, self._by_row, self._reduce)

    def _by_row(self) -> Iterator[Any]:
        """Yield the losses of single rows; those of batches without a known number of rows as they are."""
        for number, batch in self._numbered():
            rows = count_rows(batch)
            if not rows:
                yield partial(self._step, batch, number)
            for row in range(rows):
                yield partial(self._step, take_row(batch, row, rows, self._trainer.world_size), number), 1

    def _step(self, batch: Any, number: int) -> Any:
        """Return the loss of a batch, or a zero for no rows if `training_step` returns none."""
        twin, trainer = self._twin(), self._trainer
        moved = trainer.precision_plugin.convert_input(trainer.strategy.batch_to_device(batch))
        takes_number = is_param_in_hook_signature(twin.training_step, "batch_idx", min_args=2)  # as Lightning asks
        # cuDNN cannot differentiate recurrent layers in evaluation mode.
        usable = not any(isinstance(one, nn.RNNBase) for one in twin.modules())
        with torch.backends.cudnn.flags(enabled=usable), trainer.precision_plugin.train_step_context():
            output = twin.training_step(*(moved, number)[: 1 + takes_number])
        loss = output.get("loss") if isinstance(output, Mapping) else output
        return (torch.zeros(()), 0) if loss is None else loss

    def _example(self, path: str) -> Any:
        """Return the arguments of the part's first call, as a tuple or, if some are named, a mapping."""
        found: list[Any] = []

        def keep(part: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            found.append(inspect.signature(part.forward).bind(*args, **kwargs).arguments if kwargs else args)
            raise _SeenError

        part = self._twin().get_submodule(path)
        self._run_until_seen([(part, keep)], self._numbered()[0])
        if not found:
            raise LotteryError(
                f"criterion: training_step of {type(self._module).__name__} does not call "
                f"{path or 'the module'}, so its input is unknown; set submodule to a part that it calls"
            )
        return found[0]

    def _log_seen_rows(self, path: str) -> None:
        """Log the share of embedding rows that the batches contain, if it is low."""
        part = self._twin().get_submodule(path)
        embeddings = {name: one for name, one in part.named_modules() if isinstance(one, nn.Embedding)}
        seen = {name: torch.zeros(one.num_embeddings, device=one.weight.device) for name, one in embeddings.items()}
        missing: set[str] = set()

        def look(name: str, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            ids = args[0] if args else kwargs["input"]
            seen[name][ids.reshape(-1)] = 1
            missing.discard(name)
            if not missing:
                raise _SeenError

        for numbered in self._numbered() if embeddings else ():
            missing.update(embeddings)
            self._run_until_seen([(layer, partial(look, name)) for name, layer in embeddings.items()], numbered)
        for name, rows in seen.items():
            share = float(self._trainer.strategy.reduce(rows, reduce_op="sum").ne(0).float().mean())
            if share < _FEW:
                rank_zero_info(
                    f"Scoring sees {share:.0%} of the rows of {name}.weight in {len(self._numbered())} batches; the "
                    "others get no gradient: raise score_batches to see more."
                )

    def _run_until_seen(self, hooks: list[tuple[nn.Module, Callable[..., None]]], numbered: tuple[int, Any]) -> None:
        """Run `training_step` until a hook before a layer raises `_SeenError`."""
        handles = [layer.register_forward_pre_hook(hook, with_kwargs=True) for layer, hook in hooks]
        try:
            with torch.no_grad():
                self._step(numbered[1], numbered[0])
        except _SeenError:
            pass
        finally:
            for handle in handles:
                handle.remove()

    def _numbered(self) -> list[tuple[int, Any]]:
        return list(enumerate(self._batches()))

    def _load(self) -> list[Any]:
        # Private: nothing else gives a loader that is passed to `fit`; a test passes loaders in all three ways.
        loaders = self._trainer.fit_loop._data_source.dataloader()
        with kept_loader(loaders):
            combined = CombinedLoader(loaders, "max_size_cycle")
            return [batch for batch, _, _ in islice(iter(combined), self._count)]

    def _copy(self) -> pl.LightningModule:
        """Return a copy of the module in evaluation mode that logs nothing."""
        name = type(self._module).__name__
        if not self._module.automatic_optimization:
            raise LotteryError(
                f"criterion: {name} optimizes manually, so its gradients are unknown; use another criterion"
            )
        try:
            twin = copy.deepcopy(self._module)
        except Exception as error:  # the attributes of a user's module may raise anything
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise LotteryError(
                f"criterion: losses are computed by a copy of the module, and {name} cannot be copied ({reason}); make "
                "its attributes copyable, or use another criterion"
            ) from error
        for method in ("log", "log_dict"):
            setattr(twin, method, _log_nothing)
        twin.to(self._trainer.strategy.root_device)
        twin.trainer = self._trainer
        for one in twin.modules():
            one.training = False
        return twin

    def _reduce(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the means over processes."""
        return {name: self._trainer.strategy.reduce(value, reduce_op="mean") for name, value in values.items()}


class _SeenError(BaseException):
    """Stops a `training_step` whose rest is not needed. Not an Exception, which modules may catch."""


def _log_nothing(*args: Any, **kwargs: Any) -> None:
    """Stand in for `self.log`, which needs a running loop."""
