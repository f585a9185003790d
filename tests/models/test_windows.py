"""`max_over_distinct_words` against the layers that it stands for, against their definition, and against itself."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lt_lightning.data.vocabulary import PADDING
from lt_lightning.models import BinaryCNN, MultiCNN
from lt_lightning.models import convolutional as convolutional_module
from lt_lightning.models.convolutional import max_over_layers, max_over_time
from lt_lightning.models.embedding import WordEmbedding
from lt_lightning.models.windows import STRETCH, can_share_words, max_over_distinct_words

WORDS, DIM, FILTERS = 30, 7, 5
Layers = tuple[WordEmbedding, list[nn.Conv1d]]


def layers(
    widths: Sequence[int] = (3, 4, 5), dtype: torch.dtype = torch.float64, bias: bool = True, seed: int = 0
) -> Layers:
    torch.manual_seed(seed)
    embedding = WordEmbedding(WORDS, DIM).to(dtype)
    embedding.reset_parameters()
    # Each width with a number of filters of its own.
    return embedding, [nn.Conv1d(DIM, FILTERS + width, width, bias=bias, dtype=dtype) for width in widths]


def texts(*lengths: int, padding: int = 0, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.full((len(lengths), max([*lengths, 1]) + padding), PADDING)
    for row, length in zip(ids, lengths, strict=True):
        row[:length] = torch.randint(1, WORDS, (length,), generator=generator)
    return ids, torch.tensor(lengths, dtype=torch.int64)


def learn(function, embedding: WordEmbedding, convs: list[nn.Conv1d], batch: tuple[Tensor, Tensor]) -> list[Tensor]:
    """The features, and the gradient of each parameter that has one."""
    parameters = [p for layer in (embedding, *convs) for p in layer.parameters() if p.requires_grad]
    ids, lengths = batch
    if function is not max_over_time:
        lacking = max(conv.kernel_size[0] for conv in convs) - ids.shape[1]
        ids = nn.functional.pad(ids, (0, max(0, lacking)), value=PADDING)
    features = function(embedding, convs, ids, lengths)
    upstream = torch.randn(features.shape, dtype=features.dtype, generator=torch.Generator().manual_seed(1))
    return [features, *torch.autograd.grad(features, parameters, upstream)]


def assert_as_layers(model: Layers, batch: tuple[Tensor, Tensor], atol: float = 1e-12) -> None:
    for ours, theirs in zip(learn(max_over_time, *model, batch), learn(max_over_layers, *model, batch), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=atol)


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
@pytest.mark.parametrize("widths", [(3, 4, 5), (1,), (2, 9), (4, 4)])
def test_features_and_gradients_equal_those_of_the_layers(
    widths: tuple[int, ...], dtype: torch.dtype, atol: float
) -> None:
    batch = texts(9, 31, 2, 8 * STRETCH, 0, 17, padding=3)
    assert_as_layers(layers(widths, dtype), batch, atol)


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 3 * STRETCH), min_size=1, max_size=6),
    widths=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    padding=st.integers(0, 2 * STRETCH),
    bias=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_any_texts_and_widths_equal_those_of_the_layers(
    lengths: list[int], widths: list[int], padding: int, bias: bool, seed: int
) -> None:
    assert_as_layers(layers(widths, bias=bias, seed=seed), texts(*lengths, padding=padding, seed=seed))


def test_gradients_are_those_of_finite_differences() -> None:
    embedding, convs = layers((2, 3))
    ids, lengths = texts(6, 3, 1, padding=1)
    parameters = [embedding.weight, *(p for conv in convs for p in conv.parameters())]

    def features(*_: Tensor) -> Tensor:
        return max_over_distinct_words(embedding, convs, ids, lengths)

    # Finite differences move the row of padding too, which gets no gradient by definition; so take it out of this one.
    embedding.padding_idx = None
    assert torch.autograd.gradcheck(features, parameters)


def test_padding_gets_no_gradient_even_inside_a_text() -> None:
    model = layers()
    ids, lengths = texts(12, 2, 0, padding=4)
    ids[0, 5] = PADDING
    gradient = learn(max_over_time, *model, (ids, lengths))[1]
    assert not gradient[PADDING].any()
    assert gradient[1:].any()
    assert_as_layers(model, (ids, lengths))


def test_words_of_no_text_get_no_gradient() -> None:
    ids, lengths = texts(12, 5)
    gradient = learn(max_over_time, *layers(), (ids, lengths))[1]
    absent = torch.ones(WORDS, dtype=torch.bool).index_fill(0, ids.unique(), False)
    assert absent.any()
    assert not gradient[absent].any()


def test_a_batch_of_no_texts_has_no_features_and_no_gradient() -> None:
    model = layers()
    batch = torch.empty(0, 4, dtype=torch.int64), torch.empty(0, dtype=torch.int64)
    features, *gradients = learn(max_over_time, *model, batch)
    assert features.shape == (0, sum(conv.out_channels for conv in model[1]))
    assert not any(gradient.any() for gradient in gradients)


def test_a_filter_that_never_answers_above_zero_gets_no_gradient() -> None:
    embedding, convs = layers((3,))
    with torch.no_grad():
        convs[0].bias[0] = -1e6
        # And one whose maximum is 0 exactly, where ReLU has no gradient.
        convs[0].weight[1] = 0
        convs[0].bias[1] = 0
    features, _, weight, bias = learn(max_over_time, embedding, convs, texts(20, 4))
    assert not features[:, :2].any()
    assert not weight[:2].any()
    assert not bias[:2].any()
    assert weight[2:].any()


def test_of_equal_windows_the_first_wins() -> None:
    embedding, convs = layers((1,))
    with torch.no_grad():
        embedding.weight[2:] = 1.0
        convs[0].weight.abs_()
        convs[0].bias.fill_(1.0)
    ids = torch.arange(2, 2 + 3 * STRETCH)[None]
    gradient = learn(max_over_time, embedding, convs, (ids, torch.tensor([ids.shape[1]])))[1]
    assert gradient[2].any()
    assert not gradient[3:].any()


@pytest.mark.parametrize("frozen", ["embedding", "convs", "weights", "biases"])
def test_what_is_frozen_gets_no_gradient_and_leaves_the_others_theirs(frozen: str) -> None:
    embedding, convs = layers()
    embedding.weight.requires_grad_(frozen != "embedding")
    for conv in convs:
        conv.weight.requires_grad_(frozen not in ("convs", "weights"))
        conv.bias.requires_grad_(frozen not in ("convs", "biases"))
    assert_as_layers((embedding, convs), texts(9, 20, 2))


def test_looking_gives_bitwise_the_features_of_learning_and_keeps_nothing() -> None:
    model, batch = layers(dtype=torch.float32), texts(9, 40, 2, padding=3)
    expected = learn(max_over_time, *model, batch)[0].detach()
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            features = max_over_time(*model, *batch)
        assert not features.requires_grad
        assert torch.equal(features, expected)


def test_same_inputs_give_bitwise_the_same_features_and_gradients() -> None:
    model, batch = layers(dtype=torch.float32), texts(*range(0, 60, 2))
    first, second = (learn(max_over_time, *model, batch) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_a_word_that_is_not_finite_shows() -> None:
    embedding, convs = layers()
    ids, lengths = texts(12, 12)
    ids[1] = ids[1].clamp(max=WORDS - 2)
    ids[0, -1] = WORDS - 1
    with torch.no_grad():
        embedding.weight[WORDS - 1] = torch.nan
    features = max_over_time(embedding, convs, ids, lengths)
    assert features[0].isnan().all()
    assert features[1].isfinite().all()


def test_a_word_outside_the_vocabulary_is_refused() -> None:
    for word in (-1, WORDS):
        ids, lengths = texts(9)
        ids[0, 3] = word
        with pytest.raises(IndexError):
            max_over_time(*layers(), ids, lengths)


@pytest.mark.parametrize("network", [MultiCNN(WORDS, 3, dim=DIM), BinaryCNN(WORDS, dim=DIM)], ids=["multi", "binary"])
def test_networks_take_the_fast_way_on_the_cpu(network: MultiCNN | BinaryCNN, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(convolutional_module, "max_over_layers")
    network(*texts(9, 4)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_other_numbers_other_gradients_and_hooks_are_left_to_the_layers() -> None:
    embedding, convs = layers()
    assert can_share_words(embedding, convs)
    assert can_share_words(embedding.float(), [conv.float() for conv in convs])
    with torch.autocast("cpu", torch.bfloat16):
        assert not can_share_words(embedding, convs)
        assert max_over_time(embedding, convs, *texts(9, 4)).dtype == torch.bfloat16
    assert not can_share_words(nn.Embedding(WORDS, DIM, sparse=True), convs)
    assert not can_share_words(nn.Embedding(WORDS, DIM, max_norm=1.0), convs)
    assert not can_share_words(nn.Embedding(WORDS, DIM, scale_grad_by_freq=True), convs)
    assert not can_share_words(embedding.double(), convs)
    assert not can_share_words(embedding.bfloat16(), [conv.bfloat16() for conv in convs])
    assert not can_share_words(embedding.to("meta"), [conv.to("meta") for conv in convs])
    embedding, convs = layers()
    calls = []
    handle = convs[0].register_forward_hook(lambda *_: calls.append(1))
    max_over_time(embedding, convs, *texts(9, 4))
    assert calls
    handle.remove()
    assert can_share_words(embedding, convs)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning")
def test_a_network_that_is_traced_is_traced_layer_by_layer() -> None:
    network = MultiCNN(WORDS, 3, dim=DIM, filters=FILTERS).eval()
    ids, lengths = texts(9, 6)
    traced = torch.jit.trace(network, (ids, lengths))
    torch.testing.assert_close(traced(ids, lengths), network(ids, lengths))
