"""Text that is made up: drawn from the network's own probabilities, the same for the same seed."""

from collections import Counter

import pytest
import torch

from lt_lightning.data.tokenizer import PADDING, UNKNOWN
from lt_lightning.models import Tagger
from lt_lightning.models.embedding import WordEmbedding
from lt_lightning.models.sampling import sample_letters

WORDS = 7


@pytest.fixture
def network() -> Tagger:
    torch.manual_seed(4)
    return Tagger(WordEmbedding(WORDS, 3), WORDS, cell="lstm", hidden=5).eval()


def probabilities(network: Tagger, *letters: int) -> torch.Tensor:
    """Of the letter after these, `<unk>` ruled out: the whole text is read anew."""
    logits = network(torch.tensor([[PADDING, *letters]]))[0, -1].detach().clone()
    logits[UNKNOWN] = -torch.inf
    return logits.softmax(0)


@pytest.mark.slow
def test_letters_come_as_often_as_the_network_says(network: Tagger) -> None:
    drawn = Counter(tuple(sample_letters(network, [2, 3], 1, 1.0, seed)) for seed in range(4000))
    expected = probabilities(network, 2, 3)
    for letter in range(2, WORDS):
        assert drawn[(letter,)] / 4000 == pytest.approx(expected[letter].item(), abs=0.03)
    assert drawn[()] / 4000 == pytest.approx(expected[PADDING].item(), abs=0.03)  # the text ended


def test_each_letter_is_drawn_after_all_those_before_it(network: Tagger) -> None:
    letters = sample_letters(network, [4], 12, 0.0, seed=0)
    text = [4]
    for letter in letters:
        assert letter == int(probabilities(network, *text).argmax())
        text.append(letter)
    assert len(letters) == 12 or int(probabilities(network, *text).argmax()) == PADDING


@pytest.mark.slow
def test_a_small_temperature_draws_the_likeliest_letters_and_a_large_one_any(network: Tagger) -> None:
    def draws(temperature: float) -> set[tuple[int, ...]]:
        return {tuple(sample_letters(network, [2], 3, temperature, seed)) for seed in range(40)}

    assert draws(1e-9) == draws(0.0)
    assert len(draws(0.0)) == 1
    assert len(draws(100.0)) > 20


def test_the_same_seed_draws_the_same_text_and_leaves_the_process_alone(network: Tagger) -> None:
    torch.manual_seed(9)
    expected = torch.rand(1)
    torch.manual_seed(9)
    texts = {seed: [sample_letters(network, [2], 30, 1.0, seed) for _ in range(2)] for seed in (1, 2)}
    assert torch.equal(torch.rand(1), expected)
    assert texts[1][0] == texts[1][1] != texts[2][0] == texts[2][1]


def test_letters_without_a_number_are_never_written(network: Tagger) -> None:
    with torch.no_grad():
        network.fc.get_parameter("bias")[UNKNOWN] = 50.0
    assert all(UNKNOWN not in sample_letters(network, [2], 20, 1.0, seed) for seed in range(5))
