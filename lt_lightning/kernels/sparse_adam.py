"""Adam whose time and memory depend on the number of living entries."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn, optim

from lt_lightning.kernels import adam as kernels
from lt_lightning.kernels.living import Array
from lt_lightning.kernels.threads import Job, pieces, run_jobs

PACKED = 0.4
"""Density below which moments are kept for living entries only, which saves memory and time."""


class LivingAdam(optim.Optimizer):
    """Adam, or AdamW, whose time and memory fall with the density of the parameters.

    The results are those of `torch.optim.Adam` and `AdamW` on gradients that are zero where an entry is pruned, up to
    rounding. It works on the CPU, in float32 and float64, and takes sparse gradients (of an embedding with
    `sparse=True`) without making them dense. Unlike `torch.optim.SparseAdam` it moves every living entry at every step,
    as Adam does: entries without a gradient follow their momentum.

    Args:
        params: parameters, or groups of them.
        lr: the learning rate.
        betas: the decay of the mean and of the mean square of the gradients.
        eps: added to the root of the mean square.
        weight_decay: an L2 penalty or, decoupled, the share of a weight that a step subtracts, times `lr`.
        decoupled: whether to use AdamW.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        decoupled: bool = False,
    ) -> None:
        if not (lr >= 0 and eps >= 0 and weight_decay >= 0 and all(0 <= beta < 1 for beta in betas)):
            raise ValueError(f"lr {lr}, betas {betas}, eps {eps}, weight_decay {weight_decay}: one is out of range")
        settings = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "decoupled": decoupled}
        self._living: dict[Tensor, _Entries] = {}
        self._resting: dict[Tensor, _Resting] = {}
        self._jobs: list[Job] = []  # of the step, not yet run
        super().__init__(params, settings)

    @staticmethod
    def serves(params: Iterable[Tensor]) -> bool:
        """Return whether it can train these parameters."""
        return all(
            param.device.type == "cpu" and param.dtype in (torch.float32, torch.float64) and param.is_contiguous()
            for param in params
        )

    def skip_pruned(self, alive: Mapping[Tensor, Tensor]) -> None:
        """Leave pruned entries out from now on; they must be zero, and stay zero.

        `alive` holds boolean tensors by parameter; the masks of other parameters stay.
        """
        self._end_rests()
        for param, mask in alive.items():
            before, state = self._living.pop(param, None), self.state.get(param, {})
            if int(mask.count_nonzero()) < PACKED * mask.numel():  # `sum` takes ten times as long
                self._living[param] = _Entries(mask, param.dtype)
            kept = {name: state[name] for name in ("exp_avg", "exp_avg_sq") if name in state}
            state.update(_moved(kept, param, before, self._living.get(param), mask))

    def state_dict(self) -> dict[str, Any]:
        """Return the state with up-to-date moments; below `PACKED` those of the living entries, in order."""
        self._end_rests()
        return super().state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what `state_dict` returned under the same mask."""
        self._resting.clear()
        super().load_state_dict(state_dict)

    def __getstate__(self) -> dict[str, Any]:
        self._end_rests()
        return {**super().__getstate__(), "_living": self._living, "_resting": {}, "_jobs": []}

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step, and return the result of `closure`, if any."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            rates = _Rates(group)
            for param in group["params"]:
                if param.grad is not None:
                    self._update(param, rates)
                    torch.autograd.graph.increment_version(param)  # autograd has not seen the change
        self._run_jobs()
        return loss

    def _run_jobs(self) -> None:
        jobs, self._jobs = self._jobs, []
        run_jobs(jobs)

    def _update(self, param: Tensor, all_rates: _Rates) -> None:
        living, state = self._living.get(param), self.state[param]
        if not state:
            moments = param.new_zeros(param.shape if living is None else len(living.entries))
            state.update(step=0, exp_avg=moments, exp_avg_sq=moments.clone())
        assert param.grad is not None
        if param in self._resting and not param.grad.is_sparse:
            self._end_rests()
        state["step"] += 1
        rates = all_rates[state["step"], param.dtype]
        means, squares = moments = self._moments(param)
        if param.grad.is_sparse:
            grad = param.grad.coalesce()
            rows, slopes = grad.indices()[0].numpy(), grad.values().contiguous().numpy()
            if living is None:
                self._update_rows(param, rows, slopes, all_rates)
                return
            starts = living.starts(len(param))
            self._jobs.append((len(means), partial(living.update_rows, param, rows, slopes, starts, moments, rates)))
            return
        slopes = param.grad.detach().contiguous().view(-1).numpy()
        if living is None:
            arrays = (param.detach().view(-1).numpy(), slopes, means.reshape(-1), squares.reshape(-1))
            for begin, end in pieces(len(slopes)):
                parts = (array[begin:end] for array in arrays)
                self._jobs.append((end - begin, partial(kernels.update_all, *parts, rates)))
        else:
            self._jobs.append((len(means), partial(living.update_all, param, slopes, moments, rates)))

    def _update_rows(self, param: Tensor, rows: Array, slopes: Array, all_rates: _Rates) -> None:
        """Take a step with a gradient of some rows only."""
        group, state = all_rates.group, self.state[param]
        step, rates, moments = state["step"], all_rates[state["step"], param.dtype], self._moments(param)
        others = {key: value for key, value in group.items() if key not in ("params", "lr")}
        resting = self._resting.get(param)
        if resting is None:
            resting = self._resting[param] = _Resting(_find_unmoved(*moments), group["lr"], others, rates)
        elif group["lr"] > resting.lr or others != resting.others:  # steps may be large enough to change weights again
            kernels.end_rests(*moments, resting.rates, step - 1, resting.since)
        resting.lr, resting.others, resting.rates = group["lr"], others, rates
        may_rest = group["betas"][0] <= group["betas"][1] and not group["weight_decay"]
        weights = param.detach().numpy()
        if may_rest:  # few rows are read
            job = partial(kernels.update_rows, weights, rows, slopes, *moments, rates, step, resting.since, may_rest)
            self._jobs.append((slopes.size, job))
            return
        for begin, end in pieces(*weights.shape):
            first, last = np.searchsorted(rows, (begin, end))
            few, their_slopes = rows[first:last] - begin, slopes[first:last]
            arrays = (moment[begin:end] for moment in moments)
            since = resting.since[begin:end]
            job = partial(
                kernels.update_rows, weights[begin:end], few, their_slopes, *arrays, rates, step, since, may_rest
            )
            self._jobs.append(((end - begin) * weights.shape[1], job))

    def _end_rests(self) -> None:
        """Bring all moments up to date."""
        self._run_jobs()
        for param, resting in self._resting.items():
            kernels.end_rests(*self._moments(param), resting.rates, self.state[param]["step"], resting.since)
        self._resting.clear()

    def _moments(self, param: Tensor) -> tuple[Array, Array]:
        state = self.state[param]
        return state["exp_avg"].numpy(), state["exp_avg_sq"].numpy()


@dataclass
class _Resting:
    """The resting rows of a parameter."""

    since: Array  # the step after which each row rests; -1, if it does not; -2, if besides its moments are zero
    lr: float  # the learning rate of the last step
    others: dict[str, Any]  # the other settings of the last step
    rates: tuple[Any, ...]  # the rates of the last step


class _Entries:
    """The living entries of a parameter.

    Attributes:
        entries: their positions, ascending.
        slopes: a buffer for their gradients; zero between the steps.
    """

    def __init__(self, alive: Tensor, dtype: torch.dtype) -> None:
        flat = alive.reshape(-1).numpy()
        self.entries: Array = flat.nonzero()[0].astype(np.uint32 if len(flat) < 2**32 else np.int64)
        self.slopes: Array = torch.zeros(len(self.entries), dtype=dtype).numpy()
        self._size = len(flat)
        self._starts: Array | None = None

    def starts(self, rows: int) -> Array:
        """Return the start of each row's entries."""
        if self._starts is None:
            ends = np.arange(rows + 1) * (self._size // rows)
            self._starts = np.searchsorted(self.entries, ends.astype(self.entries.dtype))
        return self._starts

    def update_all(self, param: Tensor, slopes: Array, moments: tuple[Array, Array], rates: tuple[Any, ...]) -> None:
        """Take a step with a gradient `(all entries,)`."""
        kernels.gather(slopes, self.entries, self.slopes)
        self._update(param, moments, rates)
        self.slopes.fill(0)

    def update_rows(
        self,
        param: Tensor,
        rows: Array,
        slopes: Array,
        starts: Array,
        moments: tuple[Array, Array],
        rates: tuple[Any, ...],
    ) -> None:
        """Take a step with a gradient of some rows; `starts` is that of each row's living entries."""
        kernels.gather_rows(rows, slopes, starts, self.entries, self.slopes)
        self._update(param, moments, rates)
        kernels.clear_rows(rows, starts, self.slopes)

    def _update(self, param: Tensor, moments: tuple[Array, Array], rates: tuple[Any, ...]) -> None:
        kernels.update_living(param.detach().view(-1).numpy(), self.entries, self.slopes, *moments, rates)


def _find_unmoved(means: Array, squares: Array) -> Array:
    """Return -2 for each row whose moments are all zero, and -1 for the others."""
    return np.where(means.any(1) | squares.any(1), np.int64(-1), np.int64(-2))


class _Rates(dict[tuple[int, torch.dtype], tuple[Any, ...]]):
    """The `rates` of `kernels.adam` by step and type, computed once in double precision."""

    def __init__(self, group: Mapping[str, Any]) -> None:
        super().__init__()
        self.group = group

    def __missing__(self, key: tuple[int, torch.dtype]) -> tuple[Any, ...]:
        step, dtype = key
        (beta1, beta2), lr, decay = (self.group[name] for name in ("betas", "lr", "weight_decay"))
        penalty, left = (0.0, 1 - lr * decay) if self.group["decoupled"] else (decay, 1.0)
        size, scale = lr / (1 - beta1**step), 1 / math.sqrt(1 - beta2**step)
        kind = np.float64 if dtype == torch.float64 else np.float32
        numbers = (beta1, 1 - beta1, beta2, 1 - beta2, size, scale, self.group["eps"], penalty, left)
        with np.errstate(over="ignore"):  # the loss shows that the learning rate is too large
            self[key] = tuple(map(kind, numbers))
        return self[key]


def _moved(
    moments: Mapping[str, Tensor], param: Tensor, before: _Entries | None, now: _Entries | None, mask: Tensor
) -> dict[str, Tensor]:
    """Return moments under another mask: those of entries that were pruned are zero.

    Args:
        moments: of all entries, or of those of `before`; of a state that was just loaded, of those of `now`.
        param: their parameter.
        before: the living entries so far; None if moments were not packed.
        now: the living entries from now on; None if moments are not packed.
        mask: the mask of the parameter from now on.
    """
    if (
        before is not None
        and now is not None
        and len(before.entries)
        and all(len(one) == len(before.entries) for one in moments.values())
    ):
        found = np.searchsorted(before.entries, now.entries).clip(max=len(before.entries) - 1)
        places, is_new = torch.from_numpy(found), torch.from_numpy(before.entries[found] != now.entries)
        return {name: one[places].masked_fill_(is_new, 0) for name, one in moments.items()}
    dense = {name: _dense(one, param, before or now) for name, one in moments.items()}
    return {name: one[mask] if now is not None else one.masked_fill_(~mask, 0) for name, one in dense.items()}


def _dense(moments: Tensor, param: Tensor, living: _Entries | None) -> Tensor:
    """Return the moments of all entries, from those of the living ones.

    Raises:
        ValueError: they belong to another mask.
    """
    if moments.shape == param.shape:
        return moments
    if living is None or len(moments) != len(living.entries):
        raise ValueError(f"{len(moments)} moments for a parameter of shape {tuple(param.shape)} under another mask")
    dense = moments.new_zeros(param.numel())
    dense[torch.from_numpy(living.entries.astype(np.int64))] = moments
    return dense.view(param.shape)
