"""Describe the losses that a criterion differentiates: one function per batch of training data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from numbers import Integral
from typing import Any

from torch import Tensor

from lt_lightning.lottery.settings import LotteryError

Reduce = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]


class Loss:
    """The mean loss of one batch: a function without arguments.

    Args:
        function: returns the loss, a tensor with one entry, or a pair of it and the batch's number of rows.
        rows: the number of rows; by default the function's attribute `rows`, if it has one.

    Attributes:
        rows: the number of rows; None if unknown, perhaps until the first call.
    """

    def __init__(self, function: Callable[[], Any], rows: int | None = None) -> None:
        if not callable(function):
            raise LotteryError(
                f"losses: {type(function).__name__} is not a function; give functions without arguments, each of which "
                "returns the mean loss of a batch"
            )
        self._function = function
        self.rows = _checked_rows(getattr(function, "rows", None) if rows is None else rows)

    def __call__(self) -> Tensor:
        """Return the loss, a 0-d tensor."""
        loss = self._function()
        if isinstance(loss, tuple) and len(loss) == 2:
            loss, rows = loss
            self.rows = _checked_rows(rows)
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            shown = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
            raise LotteryError(f"losses: a function returned {shown}; return the mean loss, a tensor with one entry")
        return loss if loss.dim() == 0 else loss.reshape(())


class Losses:
    """The losses of several batches, as often as a criterion iterates over them.

    Args:
        batches: for each batch a function without arguments that returns its mean loss, or a pair of it and the
            batch's number of rows. Without numbers of rows every batch counts equally.
        by_row: returns such functions or pairs for each row, for criteria that need them; None to derive them from
            `batches`.
        reduce: returns the mean over processes of tensors by name.

    Raises:
        LotteryError: if there are no batches, or one is not a function.
    """

    def __init__(
        self, batches: Iterable[Any], by_row: Callable[[], Iterable[Any]] | None = None, reduce: Reduce = dict
    ) -> None:
        try:
            given = list(batches)
        except TypeError:
            raise LotteryError(f"losses: {type(batches).__name__} is not a list of functions; give one") from None
        self._losses = [_as_loss(one) for one in given]
        if not self._losses:
            raise LotteryError("losses: there are none; give a function for each batch that returns its mean loss")
        self._by_row = by_row
        self.reduce = reduce

    @classmethod
    def of(cls, losses: Any) -> Losses:
        """Return `losses` if it is of this class, else the losses of an iterable of functions."""
        return losses if isinstance(losses, cls) else cls(losses)

    def __len__(self) -> int:
        return len(self._losses)

    def __iter__(self) -> Iterator[Loss]:
        return iter(self._losses)

    def by_row(self) -> Iterator[Loss]:
        """Yield losses of single rows if they are known, else those of the batches."""
        return iter(self) if self._by_row is None else map(_as_loss, self._by_row())


def _as_loss(given: Any) -> Loss:
    function: Any = given
    rows = None
    if isinstance(given, tuple) and len(given) == 2:
        function, rows = given
    return Loss(function, rows)


def _checked_rows(rows: Any) -> int | None:
    if rows is None:
        return None
    if isinstance(rows, Tensor) and rows.numel() == 1:
        rows = rows.item()
    if not isinstance(rows, Integral) or isinstance(rows, bool) or rows < 0:
        raise LotteryError(f"losses: {rows!r} is not a number of rows; give a whole number >= 0, or none")
    return int(rows)
