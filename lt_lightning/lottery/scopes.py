"""Divide what is to be pruned among the parameters: who competes with whom, and how many entries stay.

The arithmetic is on counts alone, so it is known before there are scores. Importing this file does not load torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from numbers import Integral
from typing import Any

from lt_lightning.lottery.functions import call_with_inputs, function_name, load_function
from lt_lightning.lottery.ranking.erk import check_some_left, erk_shares, whole_numbers
from lt_lightning.lottery.settings import SCOPES, LotteryError, Scope

Shape = Sequence[int]


@dataclass(frozen=True)
class Competition:
    """Parameters whose entries compete with each other, and how many of these are pruned."""

    names: tuple[str, ...]
    pruned: int


@dataclass(frozen=True)
class Share:
    """A share of the entries to prune, in [0, 1]: of those alive, or of all."""

    amount: float
    of: str = "alive"

    def __post_init__(self) -> None:
        if self.of not in ("alive", "all"):
            raise LotteryError(f"amount_of: {self.of!r} is none of alive, all")

    def left(self, names: Sequence[str], alive: int, size: int) -> int:
        """Return how many entries stay of `size`, of which `alive` are alive."""
        return alive - min(alive, round(self.amount * (alive if self.of == "alive" else size)))

    def of_living(self, alive: int, size: int) -> float:
        """Return the share of the living entries to prune."""
        if self.of == "alive" or not alive:
            return self.amount
        return min(1.0, self.amount * size / alive)


@dataclass(frozen=True)
class Density:
    """The share of all entries that stays, in (0, 1]."""

    density: float

    def left(self, names: Sequence[str], alive: int, size: int) -> int:
        """Return how many entries stay of `size`; raise LotteryError if fewer are alive."""
        left = round(self.density * size)
        _check_reached(names, left, alive, size, self.density)
        return left

    def of_living(self, alive: int, size: int) -> float:
        """Return the share of the living entries to prune."""
        return 1 - min(1.0, self.density * size / alive) if alive else 0.0


def densities(scope: str, shapes: Mapping[str, Shape], density: float) -> dict[str, float]:
    """Return the density of each parameter.

    `layerwise` gives each the same. `erk`, the Erdős–Rényi kernel (Evci et al. 2020, arXiv:1911.11134), gives each a
    density in proportion to (sum of its dimensions) / (product of its dimensions), capped at 1; the others share what
    is left.

    Args:
        scope: `layerwise` or `erk`.
        shapes: the shape of each parameter, by name.
        density: the share of all entries that stays, in (0, 1].

    Returns:
        The share of each parameter's entries that stays, in (0, 1]; 1 for a parameter without entries.

    Raises:
        LotteryError: if the scope has no densities before there are scores, `density` is out of range, or a parameter
            would keep no entry.

    Examples:
        >>> densities("erk", {"embedding": (8, 100), "bias": (4,)}, 0.25)
        {'embedding': 0.24625, 'bias': 1.0}
    """
    _check_density(density)
    if scope not in ("layerwise", "erk"):
        raise LotteryError(f"scope: {scope!r} has no densities before entries are scored; use layerwise or erk")
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    if scope == "layerwise":
        return dict.fromkeys(sizes, density)
    total = density * sum(sizes.values())
    shares = erk_shares(shapes, sizes, total)
    check_some_left(whole_numbers(shares, sizes, round(total)), sizes, density)
    return {name: shares[name] / size if size else 1.0 for name, size in sizes.items()}


def competitions(
    scope: Scope,
    goal: Share | Density,
    alive: Mapping[str, int],
    shapes: Mapping[str, Shape],
    inputs: Mapping[str, Any] | None = None,
) -> list[Competition]:
    """Return which parameters compete, and how many entries of each competition are pruned.

    Args:
        scope: `layerwise`, `global`, `erk`, or a user's function or its dotted path.
        goal: how much is pruned.
        alive: the number of living entries of each parameter.
        shapes: their shapes.
        inputs: the `scores` and `mask` that a user's function may ask for.

    Raises:
        LotteryError: if the scope is unknown, a density cannot be reached, `erk` leaves a parameter no entry, or a
            user's function returns a number that a parameter does not have.
    """
    sizes = {name: math.prod(shapes[name]) for name in alive}
    if not alive:
        return []
    if scope == "layerwise":
        left = {name: goal.left([name], count, sizes[name]) for name, count in alive.items()}
    elif scope == "global":
        names, living = tuple(alive), sum(alive.values())
        return [Competition(names, living - goal.left(names, living, sum(sizes.values())))]
    elif scope == "erk":
        left = _erk_counts(goal, alive, {name: shapes[name] for name in alive}, sizes)
    else:
        amount = goal.of_living(sum(alive.values()), sum(sizes.values()))
        pruned = _users_counts(scope, alive, {**(inputs or {}), "amount": amount})
        left = {name: count - pruned[name] for name, count in alive.items()}
    return [Competition((name,), count - left[name]) for name, count in alive.items()]


def counts_after(
    alive: Mapping[str, int],
    shapes: Mapping[str, Shape],
    amount: float,
    *,
    scope: Scope = "layerwise",
    amount_of: str = "alive",
    amounts: Mapping[str, float] | None = None,
    pattern: str = "unstructured",
) -> dict[str, int] | None:
    """Return how many entries `prune` leaves of each parameter, or None if that depends on the scores.

    Where parameters compete with each other, the sum of those that do is exact, and divided among them in proportion
    to what is alive; the counts of the following round can be computed from it.

    Args:
        alive: the number of living entries of each parameter.
        shapes: their shapes.
        amount: as for `prune`, as are `scope`, `amount_of`, `amounts` and `pattern`.
        scope: a user's scope is not called.
        amount_of: `alive` or `all`.
        amounts: shares by fnmatch pattern.
        pattern: any but `unstructured` depends on the scores.

    Raises:
        LotteryError: as `prune`.

    Examples:
        >>> counts_after({"a": 8, "b": 3}, {"a": (2, 4), "b": (3,)}, 0.5)
        {'a': 4, 'b': 1}
    """
    if scope not in SCOPES or pattern != "unstructured":
        return None
    left = dict(alive)
    for names, share in groups(alive, amount, amounts):
        among = {name: alive[name] for name in names}
        for competition in competitions(scope, Share(share, amount_of), among, shapes):
            living = {name: alive[name] for name in competition.names}
            stays = sum(living.values()) - competition.pruned
            if len(living) > 1:
                parts = {name: count * stays / sum(living.values()) for name, count in living.items() if count}
                left.update(whole_numbers(parts, living, stays))
            else:
                left.update(dict.fromkeys(living, stays))
    return left


def groups(
    names: Iterable[str], amount: float, amounts: Mapping[str, float] | None = None
) -> list[tuple[list[str], float]]:
    """Return the parameters that each pattern of `amounts` names, and the rest, each with the share to prune.

    The first pattern that matches a name counts. Groups whose share in `amounts` is 0 are left out: they stay whole.
    """
    named: dict[str | None, list[str]] = {}
    for name in names:
        pattern = next((pattern for pattern in amounts or {} if fnmatchcase(name, pattern)), None)
        named.setdefault(pattern, []).append(name)
    shares = {pattern: amount if pattern is None else (amounts or {})[pattern] for pattern in named}
    return [(members, shares[pattern]) for pattern, members in named.items() if pattern is None or shares[pattern]]


def check_amounts(amounts: Mapping[str, float], names: Iterable[str]) -> None:
    """Raise LotteryError if a pattern of `amounts` is the first match of none of the prunable parameters `names`."""
    names = list(names)
    used = {next((pattern for pattern in amounts if fnmatchcase(name, pattern)), None) for name in names}
    for pattern in amounts:
        if pattern not in used:
            matched = any(fnmatchcase(name, pattern) for name in names)
            reason = "matches only parameters that an earlier pattern matches" if matched else "matches no parameter"
            raise LotteryError(f"amounts: the pattern {pattern!r} {reason}; those pruned are: {', '.join(names)}")


def load_scope(scope: Scope) -> Callable[..., Any] | None:
    """Return the function that a checked setting names; None for a scope of this project.

    Raises:
        LotteryError: if a dotted path cannot be imported or does not lead to a function.
    """
    return load_function("scope", scope, dict.fromkeys(SCOPES))


def _users_counts(scope: Scope, alive: Mapping[str, int], inputs: Mapping[str, Any]) -> dict[str, int]:
    """Return how many entries of each parameter a user's scope prunes."""
    if not callable(scope) and "." not in str(scope):
        raise LotteryError(f"scope: {scope!r} is none of {', '.join(SCOPES)}, and not a function")
    function, name = load_scope(scope), function_name(scope)
    assert function is not None
    returned = call_with_inputs("scope", function, name, inputs)
    counts = {}
    for key, living in alive.items():
        count = returned.get(key) if isinstance(returned, Mapping) else returned
        counts[key] = int(count) if isinstance(count, Integral) else -1
        if not 0 <= counts[key] <= living:
            raise LotteryError(
                f"scope: {name} returned {count!r} for {key!r}; return for each parameter a whole number of entries "
                f"to prune, here from 0 to {living}"
            )
    return counts


def _erk_counts(
    goal: Share | Density, alive: Mapping[str, int], shapes: Mapping[str, Shape], sizes: Mapping[str, int]
) -> dict[str, int]:
    """Return how many entries of each parameter stay under `erk`."""
    total = goal.left(list(alive), sum(alive.values()), sum(sizes.values()))
    if isinstance(goal, Density):  # a parameter that has lost more than its density allows is an error
        shares = erk_shares(shapes, sizes, goal.density * sum(sizes.values()))
        for name, share in shares.items():
            _check_reached([name], math.floor(share), alive[name], sizes[name], goal.density)
        # As the total falls, a remainder may rise above another: no count may rise with it.
        left = whole_numbers({name: min(share, alive[name]) for name, share in shares.items()}, alive, total)
    else:  # no parameter can keep more than it has
        left = whole_numbers(erk_shares(shapes, alive, total), alive, total)
    check_some_left(left, alive, goal.density if isinstance(goal, Density) else total / max(1, sum(sizes.values())))
    return left


def _check_density(density: float) -> None:
    if not 0 < density <= 1:
        raise LotteryError(f"density: {density} is not in (0, 1]; 0.05 keeps a twentieth of the entries")


def _check_reached(names: Sequence[str], left: int, alive: int, size: int, density: float) -> None:
    if left > alive:
        of = repr(names[0]) if len(names) == 1 else "all parameters"
        raise LotteryError(
            f"density: {density:g} keeps {left:,} of the {size:,} entries of {of}, of which {alive:,} "
            f"{'is' if alive == 1 else 'are'} alive; give a smaller density"
        )
