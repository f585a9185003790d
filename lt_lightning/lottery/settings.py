"""Define the settings of a lottery, checked when they are created. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal, get_args

from lt_lightning.lottery.criteria import CRITERIA, Criterion
from lt_lightning.lottery.errors import LotteryError as LotteryError
from lt_lightning.lottery.functions import arguments_of
from lt_lightning.lottery.patterns import parse_pattern
from lt_lightning.lottery.schedules.base import Schedule
from lt_lightning.lottery.schedules.during_training import Time
from lt_lightning.lottery.schedules.registry import Rounds, make_schedule

SCOPES = ("layerwise", "global", "erk")
MASKS = ("pruned", "shuffle", "random", "invert")
Scope = str | Callable[..., Mapping[str, int]]
Threshold = Literal["count", "percentile"]


@dataclass(frozen=True)
class Rewind:
    """The weights that the survivors of a pruning restart from.

    `init`: the first weights; `epoch`/`step`: the weights of round 0 after `at` epochs/optimizer steps (Frankle et
    al. 2020, https://arxiv.org/abs/1912.05671); `last`: those at the end of round 0; `random`: fresh weights from the
    model's own initialiser; `shuffle`: the first weights, permuted within each pruned tensor; `none`: no rewinding,
    fine-tune on.
    """

    point: str
    at: int | None = None

    @classmethod
    def parse(cls, text: str) -> Rewind:
        """Parse `init`, `last`, `random`, `shuffle`, `none`, `epoch:K` or `step:K`.

        Raises:
            LotteryError: if it is none of these.

        Examples:
            >>> Rewind.parse("epoch:3")
            Rewind(point='epoch', at=3)
        """
        match = re.fullmatch(r"(init|last|random|shuffle|none)|(epoch|step):(\d+)", str(text))
        if match is None:
            raise LotteryError(
                f"rewind: {text!r} is none of init, epoch:K, step:K, last, random, shuffle, none (K = 0, 1, 2, …)"
            )
        whole, counted, at = match.groups()
        return cls(whole) if whole else cls(counted, int(at))

    def __str__(self) -> str:
        return self.point if self.at is None else f"{self.point}:{self.at}"

    @property
    def at_start(self) -> bool:
        """Return whether the rewinding point is the first weights."""
        return self.point in ("init", "shuffle") or self.at == 0


@dataclass(frozen=True)
class Settings:
    """How a lottery prunes and rewinds.

    Attributes:
        amount: the share of the living entries to prune per round, in (0, 1); or a list of shares, one per round.
        criterion: scores the entries: a key of `CRITERIA`, a function such as those in `criteria`, or its dotted path.
        scope: `layerwise`: each tensor gives up its own share; `global`: all entries compete; `erk`: densities by the
            Erdős–Rényi kernel; or a function, or its dotted path, see `prune`.
        threshold: `count`: exactly round(amount × alive) entries go; `percentile`: see `prune`.
        rewind: `init`, `epoch:K`, `step:K`, `last`, `random`, `shuffle` or `none`; see `Rewind`.
        include: fnmatch patterns of the parameters to prune.
        exclude: fnmatch patterns of parameters that are not pruned.
        redraw: fnmatch patterns of the parameters that `rewind=random` draws again; others keep their trained values.
        seed: seeds random criteria, `rewind=random` and all other draws.
        keep: fnmatch patterns of the parameters that do not rewind: they train on.
        mask: the mask that a round trains: `pruned`, or a control of the same counts per tensor, see `control_mask`.
        pattern: the shape of what is pruned: `unstructured`, `n:m`, `block:RxC`, `rows` or `rows:l2`.
        schedule: when pruning happens: a key of `SCHEDULES`, whose dataclasses define the settings that follow and
            their defaults. A schedule reads some of them; those that it does not read must be None.
        amount_of: `alive` or `all`; see `Rounds`.
        amounts: shares by pattern; see `Rounds`.
        density: the share of entries that schedules other than `rounds` leave alive, in (0, 1].
        iterations: see `AtInit`; by default 100 for `synflow`, else 1.
        initial: the first sparsity; see `Gradual`.
        begin: when masks begin to change, a step or a share of the round's steps.
        end: when they change last.
        every: the steps between two changes.
        drop_fraction: see `Set`.
        grow_batches: see `RigL`.
        score_batches: the number of training batches whose losses criteria such as `snip` see.
        temperature: divides the logits of `grasp`; None for its default.
        renew: fnmatch patterns of the parameters that are drawn anew as each round after round 0 begins, while the
            others rewind; such as a classifier on a pre-trained encoder.

    Raises:
        LotteryError: if a value is not one of these.
    """

    amount: float | Sequence[float] = 0.2
    criterion: str | Criterion = "magnitude"
    scope: Scope = "layerwise"
    threshold: Threshold = "count"
    rewind: str = "init"
    include: Sequence[str] = ("*",)
    exclude: Sequence[str] = ()
    redraw: Sequence[str] = ("*",)
    seed: int = 0
    keep: Sequence[str] = ()
    mask: str = "pruned"
    pattern: str = "unstructured"
    schedule: str = "rounds"
    amount_of: str | None = None
    amounts: Mapping[str, float] | None = None
    density: float | None = None
    iterations: int | None = None
    initial: float | None = None
    begin: Time | None = None
    end: Time | None = None
    every: int | None = None
    drop_fraction: float | None = None
    grow_batches: int | None = None
    score_batches: int = 40
    temperature: float | None = None
    renew: Sequence[str] = ()

    def __post_init__(self) -> None:
        _check_amounts(self.amount, self.amount_of, self.amounts)
        for key in ("seed", "score_batches"):
            value = getattr(self, key)
            if not isinstance(value, Integral) or isinstance(value, bool):
                raise LotteryError(f"{key}: {_shown(value)} is not a whole number; give one, such as 0")
        if self.score_batches < 1:
            raise LotteryError(f"score_batches: {self.score_batches} is too small; give a whole number from 1 on")
        for key, known in (("threshold", get_args(Threshold)), ("mask", MASKS)):
            value = getattr(self, key)
            if not isinstance(value, str) or value not in known:
                raise LotteryError(f"{key}: {_shown(value)} is none of {', '.join(known)}")
        for key, known in (("criterion", CRITERIA), ("scope", SCOPES)):
            value = getattr(self, key)
            if not callable(value) and not (isinstance(value, str) and (value in known or _is_dotted(value))):
                raise LotteryError(
                    f"{key}: {_shown(value)} is none of {', '.join(known)}, and not the dotted path of a function, "
                    "such as my_package.my_function"
                )
        for key in ("include", "exclude", "redraw", "keep", "renew"):
            _check_patterns(key, getattr(self, key))
        if not self.include:
            raise LotteryError('include: no pattern, so nothing could be pruned; ["*"] is every parameter')
        if not self.redraw:
            raise LotteryError('redraw: no pattern; ["*"] is every parameter, and rewind=none draws nothing again')
        parse_pattern(self.pattern)
        _check_combination(self, Rewind.parse(self.rewind), self.plan)

    @property
    def plan(self) -> Schedule:
        """Return the schedule with the settings that it reads."""
        values = {key: getattr(self, key) for key in SCHEDULED}
        if self.schedule == "rounds":
            values["amount"] = self.amount
        elif self.density is None:
            values["density"] = parse_pattern(self.pattern).density
        if self.schedule == "at_init" and self.iterations is None:
            values["iterations"] = 100 if self.criterion == "synflow" else 1
        return make_schedule(self.schedule, values)


SCHEDULED = (
    "amount_of", "amounts", "density", "iterations", "initial", "begin", "end", "every", "drop_fraction",
    "grow_batches",
)  # fmt: skip
"""The settings that some schedules read; `amount` is left out, as configurations always have one."""


def _check_amounts(amount: Any, amount_of: Any, amounts: Any) -> None:
    """Raise LotteryError if the shares to prune are not shares."""
    several = isinstance(amount, Sequence) and not isinstance(amount, str)
    if several and not amount:
        raise LotteryError("amount: an empty list; give one share per round, such as [0.5,0.2]")
    for one in amount if several else [amount]:
        if not isinstance(one, Real) or isinstance(one, bool):
            raise LotteryError(f"amount: {_shown(one)} is not a number; give one, such as 0.2")
        if not 0 < float(one) < 1:
            raise LotteryError(f"amount: {one} is not between 0 and 1 (both excluded): 0.2 prunes a fifth a round")
    if amount_of not in (None, "alive", "all"):
        raise LotteryError(f"amount_of: {_shown(amount_of)} is none of alive, all")
    if amounts is not None and not isinstance(amounts, Mapping):
        raise LotteryError(f"amounts: {_shown(amounts)} is not a mapping of patterns to shares; give {{fc.*: 0.1}}")
    for pattern, one in (amounts or {}).items():
        if not isinstance(one, Real) or isinstance(one, bool) or not 0 <= float(one) < 1:
            raise LotteryError(f"amounts: {_shown(one)} of {pattern!r} is not a share from 0 to below 1; give one")


def _check_combination(settings: Settings, rewind: Rewind, plan: Schedule) -> None:
    """Raise LotteryError if settings do not go together."""
    name = settings.schedule
    _check_criterion(settings)
    if settings.threshold == "percentile":
        if settings.scope != "layerwise":
            raise LotteryError("threshold: percentile works tensor by tensor; use scope=layerwise, or threshold=count")
        plain = Rounds(amount=settings.amount)
        if plan != plain or settings.pattern != "unstructured":
            raise LotteryError(
                "threshold: percentile goes with schedule=rounds and amount alone; leave the others out, or use "
                "threshold=count"
            )
    if not plan.uses_criterion and settings.criterion != "magnitude":
        raise LotteryError(f"criterion: schedule={name} drops the smallest weights; use criterion=magnitude")
    if name not in ("rounds", "at_init") and settings.mask != "pruned":
        raise LotteryError(f"mask: schedule={name} has no mask to control; use schedule=rounds or at_init")
    if plan.is_single and rewind.point not in ("init", "none") and (name, rewind.point) not in _CONTROLS:
        raise LotteryError(f"rewind: schedule={name} trains once, so that nothing rewinds to {rewind}; use rewind=init")
    for key in ("keep", "renew"):
        if plan.is_single and getattr(settings, key):
            raise LotteryError(f"{key}: schedule={name} trains once, so that nothing rewinds; leave it out")
    left = parse_pattern(settings.pattern).density
    if left is not None and settings.density not in (None, left):
        raise LotteryError(
            f"density: {settings.density} is not what pattern={settings.pattern} leaves, {left:g}; leave it out, or "
            "choose another pattern"
        )


def _check_criterion(settings: Settings) -> None:
    """Raise LotteryError if a criterion does not read `temperature`, or cannot prune before training."""
    known = {key: arguments_of(function) for key, function in CRITERIA.items()}
    arguments = known.get(settings.criterion) if isinstance(settings.criterion, str) else None
    temperature = settings.temperature
    if temperature is not None:
        is_number = isinstance(temperature, Real) and not isinstance(temperature, bool)
        if not is_number or not 0 < temperature < float("inf"):  # pyright: ignore[reportOperatorIssue]
            raise LotteryError(f"temperature: {_shown(temperature)} is not a number above 0; give one, such as 200")
        if arguments is not None and "temperature" not in arguments:
            readers = ", ".join(key for key, names in known.items() if "temperature" in names)
            raise LotteryError(
                f"temperature: criterion={settings.criterion} does not read it, only {readers}; leave it out"
            )
    if settings.schedule == "at_init" and arguments is not None and "initial" in arguments:
        raise LotteryError(
            f"criterion: {settings.criterion} compares weights with the first ones, and schedule=at_init prunes these; "
            "use magnitude, or schedule=rounds"
        )


_CONTROLS = {("at_init", "random"), ("at_init", "shuffle")}
"""The schedules of one round, and the weights that they can start from after pruning."""


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
