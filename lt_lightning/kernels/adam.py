"""Apply Adam's update in one pass over weights and moments, to all entries or to the living ones only.

`rates` are numbers of the weights' type: β₁, 1 − β₁, β₂, 1 − β₂, step size (learning rate over the first bias
correction), scale (one over the root of the second), ε, L2 penalty, and the share of a weight that decoupled decay
leaves. Kingma and Ba 2015, https://arxiv.org/abs/1412.6980; Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101.
"""

from __future__ import annotations

import numpy as np

from lt_lightning.kernels.compiling import compiled

BLOCK = 2048
"""Number of living entries that are gathered, updated and put back at a time, so that they stay in the L1 cache."""


@compiled
def updated(weight, slope, mean, square, rates):
    """Return one entry's weight and moments after a step."""
    beta1, rest1, beta2, rest2, step, scale, epsilon, penalty, left = rates
    slope = slope + penalty * weight
    mean = beta1 * mean + rest1 * slope
    square = beta2 * square + rest2 * slope * slope
    return left * weight - step * mean / (np.sqrt(square) * scale + epsilon), mean, square


@compiled
def update_all(weights, slopes, means, squares, rates):
    """Update every entry of `(entries,)` arrays, in place."""
    for i in range(len(weights)):
        weights[i], means[i], squares[i] = updated(weights[i], slopes[i], means[i], squares[i], rates)


@compiled
def update_rows(weights, rows, slopes, means, squares, rates, step, rests, may_rest):
    """Update every entry of a matrix in place, of which only some rows have a gradient.

    Without a gradient the steps that momentum makes shrink, if β₁ ≤ β₂ and weights do not decay: step t + 1 is at most
    A(β₁) / √A(β₂) of step t, with A(β) = (β + … + βᵗ) / (1 + β + … + βᵗ), which is below 1 and grows with β. Once a
    step is too small to change any weight of a row, so are later ones: the row rests, and is not read until it has a
    gradient again. Then its moments decay by the steps in between.

    A row whose moments are zero (`rests` is -2) only decays, and its moments are not read.

    Shapes: weights, means, squares (all rows, columns); rows (touched,) int64, ascending, those with a gradient; slopes
    (touched, columns); rests (all rows,) int64, the step since which each row rests, or -1 or -2. `step` is this step's
    number; `may_rest` is whether rows may begin to rest.
    """
    count, columns = weights.shape
    nothing = rates[0] * 0
    epsilon, penalty, left = rates[6], rates[7], rates[8]
    decays_alone = not may_rest and penalty == 0 and epsilon > 0
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
        elif rests[r] == -2 and decays_alone:
            for c in range(columns):
                weights[r, c] *= left
        elif rests[r] < 0:
            if penalty != 0:
                rests[r] = -1
            moved = 0
            for c in range(columns):
                before = weights[r, c]
                weights[r, c], means[r, c], squares[r, c] = updated(before, nothing, means[r, c], squares[r, c], rates)
                moved += weights[r, c] != before
            if may_rest and moved == 0:
                rests[r] = step


@compiled
def catch_up(means, squares, row, rates, steps):
    """Decay the moments of a row by this many steps without a gradient."""
    beta1, beta2 = rates[0] ** steps, rates[2] ** steps
    for c in range(means.shape[1]):
        means[row, c] *= beta1
        squares[row, c] *= beta2


@compiled
def end_rests(means, squares, rates, step, rests):
    """Bring the moments of all resting rows up to date, and end their rest."""
    for r in range(len(rests)):
        if rests[r] >= 0:
            catch_up(means, squares, r, rates, step - rests[r])
            rests[r] = -1


@compiled
def update_living(weights, entries, slopes, means, squares, rates):
    """Update the living entries in place; the gradient and the moments have only these.

    Shapes: weights (all,); entries (alive,) positions of the living ones; slopes, means, squares (alive,).
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
    """Compute `gathered[i] = numbers[entries[i]]`."""
    for i in range(len(entries)):
        gathered[i] = numbers[entries[i]]


@compiled
def gather_rows(rows, numbers, starts, entries, gathered):
    """Copy the living entries of some rows to their positions among all living entries.

    Shapes: rows (touched,); numbers (touched, columns) their content; starts (all rows + 1,) the start of each row's
    living entries in `entries`; entries (alive,) positions of the living entries in the flattened matrix; gathered
    (alive,), written where a row is touched.
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
