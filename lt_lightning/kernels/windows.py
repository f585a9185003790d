"""Filters that slide over texts, and the window where each answers the loudest.

Convolution over embedded words is a sum of look-ups: what a filter answers to a window is the sum of its answers to
the words in it, and each *distinct* word of a batch need meet the filters only once (`strongest_of_table`). Where
nearly all weights are pruned, most of these answers are zero, and the few others are added one by one
(`strongest_of_living`). Only the window that won has a way back, so the gradients touch `batch × filters` windows,
however long the texts are.

Words of a batch go by their *place* among its distinct words. Filters have their positions before their dimensions:
`(filters, width, dim)`, so that what is read together lies together.
"""

from __future__ import annotations

import numpy as np

from lt_lightning.kernels.compiling import compiled

STRETCH = 32
"""How many windows are looked at together, so that their answers stay in the nearest cache."""


@compiled
def find_distinct(ids, lengths, widest, vocabulary):
    """The distinct words of a batch, and which of them each word is.

    Args:
        ids: (batch, length) word ids.
        lengths: (batch,) the number of words of each row.
        widest: a row is read so far at least, into its padding if need be.
        vocabulary: ids are below it.

    Returns:
        words: (distinct,) int64, ascending.
        places: (batch, length) int32; 0 where nobody reads.

    Raises:
        IndexError: an id is none of the vocabulary.
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
def take(matrix, rows):
    """Some rows of a matrix, one below the other."""
    taken = np.empty((len(rows), matrix.shape[1]), matrix.dtype)
    for i in range(len(rows)):
        for c in range(matrix.shape[1]):
            taken[i, c] = matrix[rows[i], c]
    return taken


@compiled
def strongest_of_table(table, places, lengths, maxima, winners):
    """The strongest answer of each filter in each row, and the first window that has it.

    Windows that leave their text do not compete, but the first always does.

    Args:
        table: (distinct, width, filters) what each filter answers to each word at each position.
        places: (batch, length) which word each is; as long as a filter is wide at least.
        lengths: (batch,) the number of words of each row.
        maxima: (batch, filters) written.
        winners: (batch, filters) int32, written.
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
    """Note where windows beat those before them; the very first is noted in any case. NaN beats everything.

    Args:
        answers: (windows, filters).
        begin: the number of the first of these windows.
        maxima: (filters,) the strongest so far.
        winners: (filters,) whose they are.
    """
    windows, filters = answers.shape
    if begin == 0:
        maxima[:] = answers[0]
        winners[:] = 0
    for window in range(windows):
        for f in range(filters):
            # Written so that it becomes a vector's comparison and two choices; a NaN that has won stays.
            stronger = not (answers[window, f] <= maxima[f]) and maxima[f] == maxima[f]
            maxima[f] = answers[window, f] if stronger else maxima[f]
            winners[f] = begin + window if stronger else winners[f]


@compiled
def gather_living(vectors, words, starts, columns):
    """The living entries of some words' vectors, one word after another.

    Args:
        vectors: (distinct, dim) the vectors.
        words: (distinct,) whose they are.
        starts: (vocabulary + 1,) where each word's living entries begin in `columns`.
        columns: (alive,) their dimensions.

    Returns:
        begins: (distinct + 1,) where each word's entries begin.
        dims: their dimensions.
        values: what they are.
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
    """How many living entries the words of a batch have, each word as often as it is read."""
    batch, length = places.shape
    count = 0
    for row in range(batch):
        for t in range(min(length, max(lengths[row], widest))):
            count += begins[places[row, t] + 1] - begins[places[row, t]]
    return count


@compiled
def answer_living(begins, dims, values, weight, table):
    """What filters answer to words of which few entries live: the product of a sparse and a dense matrix.

    Args:
        begins: (distinct + 1,) where each word's living entries begin; see `gather_living`.
        dims: their dimensions.
        values: what they are.
        weight: (dim, answers) the filters.
        table: (distinct, answers) written.
    """
    for i in range(len(begins) - 1):
        row = table[i]
        row[:] = 0
        for k in range(begins[i], begins[i + 1]):
            value, answers = values[k], weight[dims[k]]
            for a in range(len(row)):
                row[a] += value * answers[a]


@compiled
def strongest_of_living(begins, dims, values, starts, shifts, weights, places, lengths, width, maxima, winners):
    """As `strongest_of_table`, from the living entries of words and filters alone.

    Args:
        begins: (distinct + 1,) where each word's living entries begin; see `gather_living`.
        dims: their dimensions.
        values: what they are.
        starts: (dim + 1,) where each dimension's living weights begin.
        shifts: (alive,) uint32: (width - 1 - position) · filters + filter of each living weight; what it answers to
            word t goes to this place after the first filter of window t - width + 1.
        weights: (alive,) what they are.
        places: (batch, length) which word each is; as long as a filter is wide at least.
        lengths: (batch,) the number of words of each row.
        width: how many words a filter sees.
        maxima: (batch, filters) written.
        winners: (batch, filters) int32, written.
    """
    batch, length = places.shape
    filters = np.uint64(maxima.shape[1])
    margin = width - 1
    # With the windows that begin before the stretch, or end after it, so that nobody has to ask.
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
    """The way back from the windows that won, to words and filters.

    Args:
        gradient: (batch, filters) that of the maxima.
        winners: (batch, filters) the windows that won.
        places: (batch, length) which word each is.
        vectors: (distinct, dim) the words' vectors.
        weight: (filters, width, dim).
        by_vector: (distinct, dim) added to.
        by_weight: (filters, width, dim) added to.
    """
    filters, width, dim = weight.shape
    for row in range(len(gradient)):
        for f in range(filters):
            share = gradient[row, f]
            if share == 0:  # dropped, or cut off by ReLU
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
    """As `backward_dense`, for the living weights of the filters alone.

    Args:
        gradient: (batch, filters) that of the maxima.
        winners: (batch, filters) the windows that won.
        places: (batch, length) which word each is.
        vectors: (distinct, dim) the words' vectors.
        starts: (filters + 1,) where each filter's living weights begin.
        dims: (alive,) the dimension of each.
        positions: (alive,) its position.
        weights: (alive,) what it is.
        by_vector: (distinct, dim) added to.
        by_weight: (alive,) added to.
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
    """Add up what belongs to the same word.

    Args:
        rows: (reads, dim).
        places: (reads,) whose each is.
        sums: (distinct, dim) added to.
    """
    reads, dim = rows.shape
    for t in range(reads):
        place = places[t]
        for d in range(dim):
            sums[place, d] += rows[t, d]
