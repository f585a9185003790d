"""Adam's update in one pass over weights and moments, of all entries or of the living ones alone.

`rates` are numbers of the weights' own type, so that nothing is computed in another: β₁, 1 − β₁, β₂, 1 − β₂, step size
(learning rate over the first bias correction), scale (one over the root of the second), ε, L2 penalty, and the share
of a weight that decoupled decay leaves. Kingma and Ba 2015, https://arxiv.org/abs/1412.6980; Loshchilov and Hutter
2019, https://arxiv.org/abs/1711.05101.
"""

from __future__ import annotations

import numpy as np

from lt_lightning.kernels.compiling import compiled

BLOCK = 2048
"""How many living entries are brought together, updated side by side and put back: they fit the nearest cache."""


@compiled
def updated(weight, slope, mean, square, rates):
    """One entry's weight and moments after a step."""
    beta1, rest1, beta2, rest2, step, scale, epsilon, penalty, left = rates
    slope = slope + penalty * weight
    mean = beta1 * mean + rest1 * slope
    square = beta2 * square + rest2 * slope * slope
    return left * weight - step * mean / (np.sqrt(square) * scale + epsilon), mean, square


@compiled
def update_all(weights, slopes, means, squares, rates):
    """Every entry of `(entries,)` arrays, in place."""
    for i in range(len(weights)):
        weights[i], means[i], squares[i] = updated(weights[i], slopes[i], means[i], squares[i], rates)


@compiled
def update_rows(weights, rows, slopes, means, squares, rates, step, rests, may_rest):
    """Every entry of a matrix of whose rows few have a gradient, in place.

    Without a gradient the steps that momentum still makes get smaller and smaller, if β₁ ≤ β₂ and nothing decays the
    weights: step t + 1 is at most A(β₁) / √A(β₂) of step t, with A(β) = (β + … + βᵗ) / (1 + β + … + βᵗ), which is below
    1 and grows with β. So once a step is too small to change any weight of a row, no later one will: the row rests, and
    is not even read, until it has a gradient again. Then its moments make up for the steps in between.

    Args:
        weights: (all rows, columns).
        rows: (touched,) int64, ascending; the others' gradient is zero.
        slopes: (touched, columns) their gradient.
        means: (all rows, columns), the first moments.
        squares: (all rows, columns), the second moments.
        rates: see above.
        step: the number of this step.
        rests: (all rows,) int64, since which step each row rests; -1: it does not.
        may_rest: whether rows may begin to.
    """
    count, columns = weights.shape
    nothing = rates[0] * 0
    following = 0
    for r in range(count):
        if following < len(rows) and rows[following] == r:
            if rests[r] >= 0:
                catch_up(means, squares, r, rates, step - 1 - rests[r])
                rests[r] = -1
            for c in range(columns):
                weights[r, c], means[r, c], squares[r, c] = updated(
                    weights[r, c], slopes[following, c], means[r, c], squares[r, c], rates
                )
            following += 1
        elif rests[r] < 0:
            moved = 0
            for c in range(columns):
                before = weights[r, c]
                weights[r, c], means[r, c], squares[r, c] = updated(before, nothing, means[r, c], squares[r, c], rates)
                moved += weights[r, c] != before
            if may_rest and moved == 0:
                rests[r] = step


@compiled
def catch_up(means, squares, row, rates, steps):
    """Let the moments of a row decay as they would have in so many steps without a gradient."""
    beta1, beta2 = rates[0] ** steps, rates[2] ** steps
    for c in range(means.shape[1]):
        means[row, c] *= beta1
        squares[row, c] *= beta2


@compiled
def end_rests(means, squares, rates, step, rests):
    """Let all rows that rest make up for the steps until now; none rests any more."""
    for r in range(len(rests)):
        if rests[r] >= 0:
            catch_up(means, squares, r, rates, step - rests[r])
            rests[r] = -1


@compiled
def update_living(weights, entries, slopes, means, squares, rates):
    """The living entries, in place; nothing is kept, and nothing done, for the others.

    Args:
        weights: (all,).
        entries: (alive,) where they are.
        slopes: (alive,) their gradient.
        means: (alive,) their first moments.
        squares: (alive,) their second moments.
        rates: see above.
    """
    together = np.empty(BLOCK, weights.dtype)
    for begin in range(0, len(entries), BLOCK):
        block = entries[begin : begin + BLOCK]
        for i in range(len(block)):
            together[i] = weights[block[i]]
        end = begin + len(block)
        update_all(together[: len(block)], slopes[begin:end], means[begin:end], squares[begin:end], rates)
        for i in range(len(block)):
            weights[block[i]] = together[i]


@compiled
def gather(numbers, entries, gathered):
    """`gathered[i] = numbers[entries[i]]`."""
    for i in range(len(entries)):
        gathered[i] = numbers[entries[i]]


@compiled
def gather_rows(rows, numbers, starts, entries, gathered):
    """Bring the living entries of some rows where those of the whole matrix have their places.

    Args:
        rows: (touched,) which rows.
        numbers: (touched, columns) what is in them.
        starts: (all rows + 1,) where each row's living entries begin in `entries`.
        entries: (alive,) where they are in the matrix, read row by row.
        gathered: (alive,) written where a row is touched.
    """
    columns = numbers.shape[1]
    for i in range(len(rows)):
        for k in range(starts[rows[i]], starts[rows[i] + 1]):
            gathered[k] = numbers[i, entries[k] - rows[i] * columns]


@compiled
def clear_rows(rows, starts, gathered):
    """Set to zero what `gather_rows` wrote."""
    for i in range(len(rows)):
        for k in range(starts[rows[i]], starts[rows[i] + 1]):
            gathered[k] = 0
