"""What every network owes: its size, its first weights, and answers that depend on the text alone."""

import numpy as np
import pytest
import torch
from torch import nn

from lt_lightning.data.tokenizer import PADDING, UNKNOWN
from lt_lightning.models import BinaryCNN, MultiCNN, RecurrentClassifier, WordEmbedding

WORDS = 40


NETWORKS = {
    "multi_cnn": lambda: MultiCNN(WORDS, 3, dim=8, filters=5),
    "binary_cnn": lambda: BinaryCNN(WORDS, dim=8, filters=5),
    "bilstm": lambda: RecurrentClassifier(WORDS, 3, dim=8, hidden=6),
    "bilstm_binary": lambda: RecurrentClassifier(WORDS, None, dim=8, hidden=6),
}


@pytest.fixture(params=NETWORKS, name="network")
def any_network(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    return NETWORKS[request.param]().eval()


def text(length: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(2, WORDS, (length,), generator=torch.Generator().manual_seed(seed))


def batch(*texts: torch.Tensor, padding: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor([len(words) for words in texts])
    ids = torch.full((len(texts), int(lengths.max()) + padding), PADDING)
    for row, words in enumerate(texts):
        ids[row, : len(words)] = words
    return ids, lengths


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def test_multi_cnn_has_the_notebooks_size() -> None:
    assert count(MultiCNN(50_002, 4)) == 5_121_704


def test_binary_cnn_has_three_logits_fewer() -> None:
    assert count(BinaryCNN(50_002)) == 5_121_704 - 3 * 301


def test_bilstm_has_the_size_of_its_equations() -> None:
    words, dim, hidden, classes = 25_002, 100, 256, 4
    one_way = [4 * hidden * (inputs + hidden + 2) for inputs in (dim, 2 * hidden)]
    assert count(RecurrentClassifier(words, classes)) == words * dim + 2 * sum(one_way) + (2 * hidden + 1) * classes


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 6, 17])
def test_logits_do_not_depend_on_padding(network: nn.Module, length: int) -> None:
    words = text(length)
    expected = network(*batch(words, padding=1 if not length else 0))
    for padding in (1, 2, 9):
        torch.testing.assert_close(network(*batch(words, padding=padding)), expected, rtol=0, atol=1e-6)


def test_logits_do_not_depend_on_the_company(network: nn.Module) -> None:
    texts = [text(length, seed) for seed, length in enumerate((3, 11, 1, 7, 24))]
    together = network(*batch(*texts))
    alone = torch.cat([network(*batch(words)) for words in texts])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


def test_cnn_logits_equal_a_loop_over_windows() -> None:
    network = MultiCNN(WORDS, 3, dim=8, filters=5).double().eval()
    texts = [text(12, 1), text(6, 2), text(4, 3)]
    state = {name: value.detach().numpy() for name, value in network.named_parameters()}

    def logits(words: np.ndarray) -> np.ndarray:
        features = []
        for index, width in enumerate((3, 4, 5)):
            weight, bias = state[f"convs.{index}.weight"], state[f"convs.{index}.bias"]
            filled = np.concatenate([words, np.full(max(0, width - len(words)), PADDING)])
            windows = [filled[start : start + width] for start in range(len(filled) - width + 1)]
            answers = [
                [(weight[f] * state["embedding.weight"][w].T).sum() + bias[f] for f in range(5)] for w in windows
            ]
            features.append(np.maximum(np.max(answers, axis=0), 0))
        return state["fc.weight"] @ np.concatenate(features) + state["fc.bias"]

    expected = np.stack([logits(words.numpy()) for words in texts])
    np.testing.assert_allclose(network(*batch(*texts)).detach().numpy(), expected, atol=1e-12)


def test_padding_never_wins_even_when_every_word_scores_below_it() -> None:
    network = BinaryCNN(WORDS, dim=8, filters=5).eval()
    with torch.no_grad():
        for conv in network.convs:
            conv.bias.fill_(1.0)  # what a window of zeros answers
            conv.weight.fill_(-1.0)
        network.embedding.weight[2:] = 1.0
    ids, lengths = batch(text(7), padding=6)
    features = []
    network.fc.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    network(ids, lengths)
    assert features[0].abs().max() == 0  # 1 − 8·width is negative, and ReLU makes it 0


def test_bilstm_logits_equal_a_loop_over_single_texts_without_packing() -> None:
    network = RecurrentClassifier(WORDS, 3, dim=8, hidden=6).double().eval()
    texts = [text(5, 1), text(12, 2), text(1, 3)]
    expected = []
    for words in texts:
        _, (states, _) = network.rnn(network.embedding(words)[None])
        expected.append(network.fc(torch.cat([states[-2], states[-1]], dim=1)))
    torch.testing.assert_close(network(*batch(*texts)), torch.cat(expected), rtol=0, atol=1e-12)


def test_weights_start_as_the_design_says() -> None:
    torch.manual_seed(0)
    network = MultiCNN(3000, 4)
    assert network.embedding.weight[2:].std().item() == pytest.approx(1, abs=0.01)
    assert not network.embedding.weight[[UNKNOWN, PADDING]].any()
    for conv in network.convs:
        assert isinstance(conv, nn.Conv1d)
        fan = 200 * conv.kernel_size[0]  # Xavier: variance 2 / (inputs + outputs) of a window
        assert conv.weight.std().item() == pytest.approx((2 / fan) ** 0.5, rel=0.02)
        assert not conv.bias.any()
    assert network.fc.weight.std().item() == pytest.approx((2 / 304) ** 0.5, rel=0.1)
    assert not network.fc.bias.any()


@pytest.mark.parametrize("build", [MultiCNN, BinaryCNN, RecurrentClassifier])
def test_word_vectors_are_drawn_as_large_as_asked_again_too(build: type[nn.Module]) -> None:
    arguments = (400,) if build is BinaryCNN else (400, 3)
    embedding = build(*arguments, dim=50, embedding_std=0.1).get_submodule("embedding")
    assert isinstance(embedding, WordEmbedding)
    for _ in range(2):
        assert embedding.weight[2:].std().item() == pytest.approx(0.1, rel=0.05)
        assert not embedding.weight[[UNKNOWN, PADDING]].any()
        embedding.reset_parameters()


def test_embedding_takes_given_vectors_and_draws_the_missing() -> None:
    vectors = torch.randn(6, 4)
    vectors[3] = torch.nan
    embedding = WordEmbedding(6, 4, vectors)
    assert not embedding.weight[[UNKNOWN, PADDING]].any()
    torch.testing.assert_close(embedding.weight[[2, 4, 5]], vectors[[2, 4, 5]], rtol=0, atol=0)
    drawn = embedding.weight[3].clone()
    assert drawn.isfinite().all()
    embedding.reset_parameters()
    torch.testing.assert_close(embedding.weight[[2, 4, 5]], vectors[[2, 4, 5]], rtol=0, atol=0)
    assert not torch.equal(embedding.weight[3], drawn)


def test_padding_gets_no_gradient(network: nn.Module) -> None:
    network(*batch(text(4), text(2), padding=3)).sum().backward()
    gradient = network.get_submodule("embedding").weight.grad
    assert isinstance(gradient, torch.Tensor)
    assert not gradient[PADDING].any()
    assert gradient[2:].any()
