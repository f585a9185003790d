"""Slide filters over texts, and find the window with each filter's maximum.

Convolution over embedded words is a sum of look-ups: a filter's value at a window is the sum of its answers to the
words in it, and each *distinct* word of a batch is multiplied by the filters once (`strongest_of_table`). If nearly all
weights are pruned, most answers are zero, and the others are added one by one (`strongest_of_living`). Only the window
of the maximum has a gradient, so the backward pass reads `batch × filters` windows, however long the texts are.

Words of a batch are given as *places* among its distinct words. Shapes that several loops share:

- places (batch, length) int32, at least as long as a filter is wide; lengths (batch,) the number of words of each row;
- maxima, winners (batch, filters), winners int32: the maximum of each filter, and the first window that has it;
- begins (distinct + 1,), dims, values: the living entries of the distinct words' vectors, see `gather_living`;
- vectors (distinct, dim); by_vector (distinct, dim) and by_weight: gradients that are added to.
"""

from __future__ import annotations

import numpy as np

from lt_lightning.kernels.compiling import compiled

STRETCH = 32
"""Number of windows that are compared at a time, so that their values stay in the L1 cache."""


@compiled
def find_distinct(ids, lengths, widest, vocabulary):
    """Return the distinct words of a batch, (distinct,) int64, ascending, and `places`, 0 where a row is not read.

    `ids` is (batch, length); a row is read up to its length, and at least up to `widest`, into its padding.

    Raises:
        IndexError: an id is not in 0 … `vocabulary` − 1.
    """
    batch, length = ids.shape
    numbers = np.zeros(vocabulary, np.int32)
    for row in range(batch):
        for t in range(min(length, max(lengths[row], widest))):
            if ids[row, t] < 0 or ids[row, t] >= vocabulary:
                raise IndexError("a word id is not in the vocabulary")
            numbers[ids[row, t]] = 1
    words = np.empty(min(vocabulary, ids.size), np.int64)
    count = 0
    for word in range(vocabulary):
        if numbers[word]:
            numbers[word] = count
            words[count] = word
            count += 1
    places = np.zeros((batch, length), np.int32)
    for row in range(batch):
        for t in range(min(length, max(lengths[row], widest))):
            places[row, t] = numbers[ids[row, t]]
    return words[:count].copy(), places


@compiled
def strongest_of_table(table, places, lengths, maxima, winners):
    """Write the maxima and winners of each row from `table`, (distinct, width, filters), the answers to each word.

    Windows that leave their text do not compete, except the first.
    """
    _, width, filters = table.shape
    batch, length = places.shape
    answers = np.empty((STRETCH, filters), table.dtype)
    for row in range(batch):
        last = min(max(lengths[row] - width, 0), length - width)
        for begin in range(0, last + 1, STRETCH):
            end = min(begin + STRETCH, last + 1)
            for window in range(begin, end):
                place = places[row, window]
                for f in range(filters):
                    answers[window - begin, f] = table[place, 0, f]
                for j in range(1, width):
                    place = places[row, window + j]
                    for f in range(filters):
                        answers[window - begin, f] += table[place, j, f]
            keep_strongest(answers[: end - begin], begin, maxima[row], winners[row])


@compiled
def keep_strongest(answers, begin, maxima, winners):
    """Update `maxima` and `winners`, (filters,), from the windows (windows, filters) that start at number `begin`.

    The very first window always wins; NaN beats everything.
    """
    windows, filters = answers.shape
    if begin == 0:
        maxima[:] = answers[0]
        winners[:] = 0
    for window in range(windows):
        for f in range(filters):
            # In a form that vectorizes: a comparison and two selections; a NaN that has won stays.
            stronger = not (answers[window, f] <= maxima[f]) and maxima[f] == maxima[f]
            maxima[f] = answers[window, f] if stronger else maxima[f]
            winners[f] = begin + window if stronger else winners[f]


@compiled
def gather_living(vectors, words, starts, columns):
    """Return the living entries of words' vectors: the start of each word's, their dimensions, their values.

    Shapes: words (distinct,) ids; starts (vocabulary + 1,) the start of each word's living entries in `columns`;
    columns (alive,) their dimensions.
    """
    begins = np.empty(len(words) + 1, np.int64)
    begins[0] = 0
    for i in range(len(words)):
        begins[i + 1] = begins[i] + starts[words[i] + 1] - starts[words[i]]
    dims = np.empty(begins[-1], np.int32)
    values = np.empty(begins[-1], vectors.dtype)
    for i in range(len(words)):
        source = starts[words[i]]
        for k in range(begins[i], begins[i + 1]):
            dims[k] = columns[source]
            values[k] = vectors[i, columns[source]]
            source += 1
    return begins, dims, values


@compiled
def count_living(begins, places, lengths, widest):
    """Return the number of living entries of all words of a batch."""
    batch, length = places.shape
    count = 0
    for row in range(batch):
        for t in range(min(length, max(lengths[row], widest))):
            count += begins[places[row, t] + 1] - begins[places[row, t]]
    return count


@compiled
def answer_living(begins, dims, values, weight, table):
    """Multiply words' living entries by a dense weight, (dim, answers), into `table`, (distinct, answers)."""
    for i in range(len(begins) - 1):
        row = table[i]
        row[:] = 0
        for k in range(begins[i], begins[i + 1]):
            value, answers = values[k], weight[dims[k]]
            for a in range(len(row)):
                row[a] += value * answers[a]


@compiled
def strongest_of_living(begins, dims, values, starts, shifts, weights, places, lengths, width, maxima, winners):
    """Write what `strongest_of_table` does, from the living entries of words and filters.

    Shapes: starts (dim + 1,) the start of each dimension's living weights; weights (alive,); shifts (alive,) uint32,
    (width - 1 - position) · filters + filter: the place of its answer to word t after the first filter of window
    t - width + 1.
    """
    batch, length = places.shape
    filters = np.uint64(maxima.shape[1])
    margin = width - 1
    # With a margin for windows that begin before the stretch or end after it, so that the loop has no branch.
    answers = np.empty((STRETCH + 2 * margin, maxima.shape[1]), values.dtype)
    flat = answers.reshape(-1)
    for row in range(batch):
        last = min(max(lengths[row] - width, 0), length - width)
        for begin in range(0, last + 1, STRETCH):
            end = min(begin + STRETCH, last + 1)
            answers[: end - begin + 2 * margin] = 0
            for t in range(begin, end + margin):
                first = np.uint64(t - begin) * filters
                place = places[row, t]
                for k in range(begins[place], begins[place + 1]):
                    value = values[k]
                    for q in range(starts[dims[k]], starts[dims[k] + 1]):
                        flat[first + np.uint64(shifts[q])] += value * weights[q]
            keep_strongest(answers[margin : margin + end - begin], begin, maxima[row], winners[row])


@compiled
def backward_dense(gradient, winners, places, vectors, weight, by_vector, by_weight):
    """Add the gradients from the winning windows to `by_vector` and `by_weight`.

    Shapes: gradient (batch, filters) of the maxima; weight, by_weight (filters, width, dim).
    """
    filters, width, dim = weight.shape
    for row in range(len(gradient)):
        for f in range(filters):
            share = gradient[row, f]
            if share == 0:  # dropout or ReLU
                continue
            for j in range(width):
                word = places[row, winners[row, f] + j]
                seen, seen_by = vectors[word], by_vector[word]
                mine, mine_by = weight[f, j], by_weight[f, j]
                for d in range(dim):
                    mine_by[d] += share * seen[d]
                for d in range(dim):
                    seen_by[d] += share * mine[d]


@compiled
def backward_living(gradient, winners, places, vectors, starts, dims, positions, weights, by_vector, by_weight):
    """Do the same as `backward_dense` for the living weights of the filters.

    Shapes: starts (filters + 1,) the start of each filter's living weights; dims, positions, weights and by_weight are
    (alive,).
    """
    for row in range(len(gradient)):
        for f in range(gradient.shape[1]):
            share = gradient[row, f]
            if share == 0:
                continue
            for q in range(starts[f], starts[f + 1]):
                word = places[row, winners[row, f] + positions[q]]
                by_weight[q] += share * vectors[word, dims[q]]
                by_vector[word, dims[q]] += share * weights[q]


@compiled
def sum_by_place(rows, places, sums):
    """Add each of `rows`, (reads, dim), to the row of `sums`, (distinct, dim), at its place, `places` (reads,)."""
    reads, dim = rows.shape
    for t in range(reads):
        place = places[t]
        for d in range(dim):
            sums[place, d] += rows[t, d]
