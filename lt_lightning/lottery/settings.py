"""Define the settings of a lottery, checked when they are created. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal, get_args

from lt_lightning.lottery.criteria import CRITERIA, Criterion

SCOPES = ("layerwise", "global", "erk")
Scope = str | Callable[..., Mapping[str, int]]
Threshold = Literal["count", "percentile"]


class LotteryError(ValueError):
    """A lottery cannot run as asked; the message says why and what to do."""


@dataclass(frozen=True)
class Rewind:
    """The weights that the survivors of a pruning restart from.

    `init`: the first weights; `epoch`/`step`: the weights of round 0 after `at` epochs/optimizer steps (Frankle et
    al. 2020, https://arxiv.org/abs/1912.05671); `last`: those at the end of round 0; `random`: fresh weights from the
    model's own initialiser; `none`: no rewinding, fine-tune on.
    """

    point: str
    at: int | None = None

    @classmethod
    def parse(cls, text: str) -> Rewind:
        """Parse `init`, `last`, `random`, `none`, `epoch:K` or `step:K`.

        Raises:
            LotteryError: if it is none of these.

        Example:
            >>> Rewind.parse("epoch:3")
            Rewind(point='epoch', at=3)
        """
        match = re.fullmatch(r"(init|last|random|none)|(epoch|step):(\d+)", str(text))
        if match is None:
            raise LotteryError(
                f"rewind: {text!r} is none of init, epoch:K, step:K, last, random, none (K = 0, 1, 2, …)"
            )
        whole, counted, at = match.groups()
        return cls(whole) if whole else cls(counted, int(at))

    def __str__(self) -> str:
        return self.point if self.at is None else f"{self.point}:{self.at}"

    @property
    def at_start(self) -> bool:
        """Return whether the rewinding point is the first weights."""
        return self.point == "init" or self.at == 0


@dataclass(frozen=True)
class Settings:
    """How each round of a lottery prunes and rewinds.

    Attributes:
        amount: the share of the living entries to prune per round, in (0, 1).
        criterion: scores the entries: a key of `CRITERIA`, a function such as those in `criteria`, or its dotted path.
        scope: `layerwise`: each tensor gives up its own share; `global`: all entries compete; or a function, or its
            dotted path, see `prune`.
        threshold: `count`: exactly round(amount × alive) entries go; `percentile`: see `prune`.
        rewind: `init`, `epoch:K`, `step:K`, `last`, `random` or `none`; see `Rewind`.
        include: fnmatch patterns of the parameters to prune.
        exclude: fnmatch patterns of parameters that are not pruned.
        redraw: fnmatch patterns of the parameters that `rewind=random` draws again; others keep their trained values.
        seed: seeds random criteria and `rewind=random`.

    Raises:
        LotteryError: if a value is not one of these.
    """

    amount: float = 0.2
    criterion: str | Criterion = "magnitude"
    scope: Scope = "layerwise"
    threshold: Threshold = "count"
    rewind: str = "init"
    include: Sequence[str] = ("*",)
    exclude: Sequence[str] = ()
    redraw: Sequence[str] = ("*",)
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.amount, Real) or isinstance(self.amount, bool):
            raise LotteryError(f"amount: {_shown(self.amount)} is not a number; give one, such as 0.2")
        if not isinstance(self.seed, Integral) or isinstance(self.seed, bool):
            raise LotteryError(f"seed: {_shown(self.seed)} is not a whole number; give one, such as 0")
        if not 0 < self.amount < 1:
            raise LotteryError(
                f"amount: {self.amount} is not between 0 and 1 (both excluded): 0.2 prunes a fifth a round"
            )
        if not isinstance(self.threshold, str) or self.threshold not in get_args(Threshold):
            allowed = ", ".join(get_args(Threshold))
            raise LotteryError(f"threshold: {_shown(self.threshold)} is none of {allowed}")
        for key, known in (("criterion", CRITERIA), ("scope", SCOPES)):
            value = getattr(self, key)
            if not callable(value) and not (isinstance(value, str) and (value in known or _is_dotted(value))):
                raise LotteryError(
                    f"{key}: {_shown(value)} is none of {', '.join(known)}, and not the dotted path of a function, "
                    "such as my_package.my_function"
                )
        if self.threshold == "percentile" and self.scope != "layerwise":
            raise LotteryError("threshold: percentile works tensor by tensor; use scope=layerwise, or threshold=count")
        for key in ("include", "exclude", "redraw"):
            _check_patterns(key, getattr(self, key))
        if not self.include:
            raise LotteryError('include: no pattern, so nothing could be pruned; ["*"] is every parameter')
        if not self.redraw:
            raise LotteryError('redraw: no pattern; ["*"] is every parameter, and rewind=none draws nothing again')
        Rewind.parse(self.rewind)


def _is_dotted(name: str) -> bool:
    """Return whether `name` may be the dotted path of a function, which is imported later."""
    parts = name.split(".")
    return len(parts) > 1 and all(part.isidentifier() for part in parts)


def _check_patterns(key: str, patterns: Any) -> None:
    if isinstance(patterns, str):
        raise LotteryError(f"{key}: give a list of patterns, such as [{patterns!r}]")
    if not isinstance(patterns, Sequence):
        raise LotteryError(f'{key}: {_shown(patterns)} is not a list of patterns; give one, such as ["*.weight"]')
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise LotteryError(f'{key}: {_shown(pattern)} is not a pattern; give strings, such as ["*.weight"]')


def _shown(value: Any) -> str:
    """Return a value as one short line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}…"
