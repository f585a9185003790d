"""`fit_ngram` against its definition in dictionaries, against closed forms, and on texts whose answer is known."""

import itertools
import math
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lt_lightning.models.ngram import BackoffNgram, fit_ngram

Texts = list[list[int]]


def flat(texts: Texts, dtype: torch.dtype = torch.int64) -> tuple[Tensor, Tensor]:
    ids = torch.tensor([symbol for text in texts for symbol in text], dtype=dtype)
    return ids, torch.tensor([0, *itertools.accumulate(len(text) for text in texts)])


def spelled(*words: str, symbols: str) -> tuple[Tensor, Tensor]:
    return flat([[symbols.index(letter) for letter in word] for word in words])


def occasions(texts: Texts, boundary: int, order: int) -> list[tuple[tuple[int, ...], int]]:
    """Each symbol that is predicted, after the symbols that it is predicted from."""
    found = []
    for text in texts:
        row = [boundary] * order + text + [boundary]
        found += [(tuple(row[place - order : place]), row[place]) for place in range(order, len(row))]
    return found


class Brute:
    def __init__(self, texts: Texts, symbols: int, boundary: int, order: int) -> None:
        self.symbols = symbols
        self.counts: dict[int, dict[tuple[int, ...], Counter]] = {}
        for length in range(order + 1):
            followed = self.counts[length] = {}
            for context, symbol in occasions(texts, boundary, order):
                followed.setdefault(context[order - length :], Counter())[symbol] += 1

    def discount(self, length: int) -> float:
        every = [count for counter in self.counts[length].values() for count in counter.values()]
        once, twice = every.count(1), every.count(2)
        return once / (once + 2 * twice) if once and twice else 0.5

    def __call__(self, symbol: int, context: tuple[int, ...]) -> float:
        counter = self.counts[len(context)].get(context)
        if counter is None:
            return self.below(symbol, context)
        unseen = [other for other in range(self.symbols) if other not in counter]
        discount = self.discount(len(context)) if unseen else 0.0
        if symbol in counter:
            return (counter[symbol] - discount) / counter.total()
        left = discount * len(counter) / counter.total()
        return left * self.below(symbol, context) / sum(self.below(other, context) for other in unseen)

    def below(self, symbol: int, context: tuple[int, ...]) -> float:
        return self(symbol, context[1:]) if context else 1 / self.symbols


@st.composite
def texts_of(draw: st.DrawFn, symbols: int) -> Texts:
    return draw(st.lists(st.lists(st.integers(0, symbols - 1), max_size=9), min_size=1, max_size=6))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), symbols=st.integers(1, 5), order=st.integers(0, 3))
def test_any_model_equals_its_definition_in_dictionaries(data: st.DataObject, symbols: int, order: int) -> None:
    texts = data.draw(texts_of(symbols))
    boundary = data.draw(st.integers(0, symbols - 1))
    model, brute = fit_ngram(*flat(texts), symbols, boundary, order), Brute(texts, symbols, boundary, order)
    assert model.order == order
    for context in itertools.product(range(symbols), repeat=order):
        expected = torch.tensor([brute(symbol, context) for symbol in range(symbols)], dtype=torch.float64)
        torch.testing.assert_close(model.probabilities(context), expected, rtol=1e-9, atol=0)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), symbols=st.integers(1, 6), order=st.integers(0, 2))
def test_after_every_context_probabilities_are_positive_and_sum_to_one(data, symbols, order):
    model = fit_ngram(*flat(data.draw(texts_of(symbols))), symbols, symbols - 1, order)
    for context in itertools.product(range(symbols), repeat=order):
        probabilities = model.probabilities(context)
        assert (probabilities > 0).all()
        assert float(probabilities.sum()) == pytest.approx(1, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), order=st.integers(0, 2))
def test_bits_are_the_mean_over_letters_and_ends(data: st.DataObject, order: int) -> None:
    fitted, told = data.draw(texts_of(4)), data.draw(texts_of(4))
    model = fit_ngram(*flat(fitted), 4, 3, order)
    bits = [-math.log2(model.probabilities(context)[symbol]) for context, symbol in occasions(told, 3, order)]
    assert len(bits) == sum(len(text) + 1 for text in told)
    assert model.bits(*flat(told)) == pytest.approx(sum(bits) / len(bits), rel=1e-12)


def test_without_context_the_discount_and_what_it_leaves_are_as_worked_by_hand() -> None:
    # Of six symbols with the end, a and b occur twice, c and the end once: the discount is 2 / (2 + 2 × 2) = 1/3, and
    # it leaves 4 × 1/3 of 6 to d alone.
    model = fit_ngram(*spelled("aabbc", symbols="abcd#"), 5, boundary=4, order=0)
    expected = torch.tensor([5 / 18, 5 / 18, 1 / 9, 2 / 9, 1 / 9], dtype=torch.float64)
    torch.testing.assert_close(model.probabilities(()), expected, rtol=0, atol=1e-15)


def test_with_context_what_is_left_goes_by_the_shorter_context() -> None:
    # Without context, of four: a twice, b and the end once; discount 2 / (2 + 2) = 1/2, which leaves 3/8 to c.
    # After a: a, b; at the start: a; after b: the end. All once, so the discount is 1/2 where there is none to be had.
    model = fit_ngram(*spelled("aab", symbols="abc#"), 4, boundary=3, order=1)
    alone = torch.tensor([3 / 8, 1 / 8, 3 / 8, 1 / 8], dtype=torch.float64)
    torch.testing.assert_close(
        model.probabilities((0,)), torch.tensor([1 / 4, 1 / 4, 3 / 8, 1 / 8]).double(), rtol=0, atol=1e-15
    )
    after_b = torch.cat([alone[:3] / alone[:3].sum() / 2, torch.tensor([0.5])])
    torch.testing.assert_close(model.probabilities((1,)), after_b, rtol=0, atol=1e-15)
    torch.testing.assert_close(model.probabilities((2,)), alone, rtol=0, atol=0)  # c was never seen


def test_where_every_symbol_followed_probabilities_are_shares_of_the_counts() -> None:
    model = fit_ngram(*spelled("aaab", symbols="ab#"), 3, boundary=2, order=0)
    torch.testing.assert_close(model.probabilities(()), torch.tensor([3, 1, 1]).double() / 5, rtol=0, atol=0)


def test_texts_that_determine_the_next_letter_cost_almost_nothing() -> None:
    # Two letters say what comes next, one does not: after b comes c or d.
    texts = spelled(*["abcbd" * 1000] * 3, symbols="abcd#")
    assert fit_ngram(*texts, 5, boundary=4, order=2).bits(*texts) < 0.01
    assert fit_ngram(*texts, 5, boundary=4, order=1).bits(*texts) > 0.3


def test_symbols_that_were_never_seen_cost_a_finite_number_of_bits() -> None:
    for order in (0, 1, 2):
        model = fit_ngram(*spelled("abab", "ba", symbols="abxyz#"), 6, boundary=5, order=order)
        bits = model.bits(*spelled("xyz", "zx", symbols="abxyz#"))
        assert math.isfinite(bits)
        assert bits > model.bits(*spelled("abab", symbols="abxyz#"))


def markov_texts(texts: int, length: int, seed: int) -> tuple[Texts, float]:
    """Texts whose symbols, of four, depend on the two before them, and their entropy in bits a symbol."""
    generator = torch.Generator().manual_seed(seed)
    rule = torch.distributions.Dirichlet(torch.full((4,), 0.3))
    with torch.random.fork_rng():
        torch.manual_seed(0)  # the same chain for every seed
        table = rule.sample((5, 5)).double()
    rows, bits = [], []
    for _ in range(texts):
        row = [4, 4]
        for _ in range(length):
            after = table[row[-2], row[-1]]
            row.append(int(torch.multinomial(after, 1, generator=generator)))
            bits.append(-math.log2(after[row[-1]]))
        rows.append(row[2:])
    return rows, sum(bits) / len(bits)


def test_on_a_markov_chain_a_longer_context_is_better_until_it_nears_the_chain() -> None:
    (fitted, _), (held_out, entropy) = markov_texts(40, 200, seed=1), markov_texts(20, 200, seed=2)
    models = [fit_ngram(*flat(fitted), 5, boundary=4, order=order) for order in (0, 1, 2)]
    none, one, two = (model.bits(*flat(held_out)) for model in models)
    assert none > one + 0.1
    assert one > two + 0.1
    assert two == pytest.approx(entropy, abs=0.06)  # the ends of texts, which are not the chain's, cost 0.04


def test_a_text_begins_and_ends_at_the_boundary_whatever_stands_beside_it() -> None:
    model = fit_ngram(*spelled("ab", "ba", "", "ab", symbols="ab#"), 3, boundary=2, order=2)
    apart = [model.bits(*spelled(word, symbols="ab#")) * (len(word) + 1) for word in ("ab", "", "bb")]
    assert model.bits(*spelled("ab", "", "bb", symbols="ab#")) == pytest.approx(sum(apart) / 7, rel=1e-12)


def test_narrow_numbers_and_offsets_into_longer_texts_change_nothing() -> None:
    texts = [[0, 1, 2], [3, 3], [], [1, 2, 0, 3]]
    ids, offsets = flat(texts)
    expected, same = fit_ngram(ids[3:5], offsets[1:3] - 3, 5, 4), fit_ngram(ids.int(), offsets[1:3], 5, 4)
    for context in itertools.product(range(5), repeat=2):
        assert torch.equal(same.probabilities(context), expected.probabilities(context))
    assert same.bits(ids.int(), offsets[2:]) == expected.bits(ids[5:], offsets[2:] - 5)


def test_many_symbols_take_no_table_of_all_grams() -> None:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 1_000_000, (5000,), generator=generator)
    model = fit_ngram(ids, torch.tensor([0, 2000, 5000]), 1_000_001, boundary=1_000_000, order=2)
    assert float(model.probabilities((int(ids[7]), int(ids[8]))).sum()) == pytest.approx(1, abs=1e-9)


def model() -> BackoffNgram:
    return fit_ngram(*spelled("abab", symbols="ab#"), 3, boundary=2, order=2)


def test_texts_that_cannot_be_counted_are_refused() -> None:
    ids, offsets = spelled("abab", symbols="ab#")
    for texts in (fit_ngram, lambda ids, offsets, *_: model().bits(ids, offsets)):
        with pytest.raises(ValueError, match="no texts"):
            texts(ids, offsets[:1], 3, 2)
        with pytest.raises(ValueError, match=r"symbols from 0 to 3; each must be in 0 … 2"):
            texts(torch.tensor([0, 3, 1, 1]), offsets, 3, 2)
        with pytest.raises(ValueError, match=r"symbols from -1 to 1"):
            texts(torch.tensor([0, -1, 1, 1]), offsets, 3, 2)


@pytest.mark.parametrize(("boundary", "order", "fault"), [(3, 2, "boundary 3"), (2, -1, "order -1"), (2, 40, "order")])
def test_a_boundary_or_order_that_cannot_be_is_refused(boundary: int, order: int, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        fit_ngram(*spelled("abab", symbols="ab#"), 3, boundary, order)
