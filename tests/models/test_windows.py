"""`max_over_windows` against the layers that it stands for, against their definition, and against itself."""

import copy
from collections.abc import Sequence
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from torch import Tensor, nn

from lt_lightning.data.tokenizer import PADDING
from lt_lightning.kernels import living as living_module
from lt_lightning.kernels import max_over_windows as windows_module
from lt_lightning.kernels.max_over_windows import Living, max_over_windows, runs_compiled
from lt_lightning.kernels.windows import STRETCH
from lt_lightning.lottery import Freezer, Mask, prune
from lt_lightning.models import BinaryCNN, MultiCNN
from lt_lightning.models import cnn as convolutional_module
from lt_lightning.models.cnn import max_over_layers, max_over_time
from lt_lightning.models.embedding import WordEmbedding

WORDS, DIM, FILTERS = 30, 7, 5
Layers = tuple[WordEmbedding, list[nn.Conv1d]]


def layers(
    widths: Sequence[int] = (3, 4, 5),
    dtype: torch.dtype = torch.float64,
    bias: bool = True,
    seed: int = 0,
    words: int = WORDS,
) -> Layers:
    torch.manual_seed(seed)
    embedding = WordEmbedding(words, DIM).to(dtype)
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
def test_features_and_gradients_equal_those_of_the_layers(widths, dtype, atol):
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
def test_any_texts_and_widths_equal_those_of_the_layers(lengths, widths, padding, bias, seed):
    assert_as_layers(layers(widths, bias=bias, seed=seed), texts(*lengths, padding=padding, seed=seed))


def test_gradients_are_those_of_finite_differences() -> None:
    embedding, convs = layers((2, 3))
    ids, lengths = texts(6, 3, 1, padding=1)
    parameters = [embedding.weight, *(p for conv in convs for p in conv.parameters())]

    def features(*_: Tensor) -> Tensor:
        return max_over_windows(embedding, convs, ids, lengths)

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
    embedding, convs = layers((1,), words=2 + 3 * STRETCH)
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
    assert runs_compiled(embedding, convs)
    assert runs_compiled(embedding.float(), [conv.float() for conv in convs])
    with torch.autocast("cpu", torch.bfloat16):
        assert not runs_compiled(embedding, convs)
        assert max_over_time(embedding, convs, *texts(9, 4)).dtype == torch.bfloat16
    assert not runs_compiled(nn.Embedding(WORDS, DIM, max_norm=1.0), convs)
    assert not runs_compiled(nn.Embedding(WORDS, DIM, scale_grad_by_freq=True), convs)
    assert not runs_compiled(embedding.double(), convs)
    assert not runs_compiled(embedding.bfloat16(), [conv.bfloat16() for conv in convs])
    assert not runs_compiled(embedding.to("meta"), [conv.to("meta") for conv in convs])
    embedding, convs = layers()
    calls = []
    handle = convs[0].register_forward_hook(lambda *_: calls.append(1))
    max_over_time(embedding, convs, *texts(9, 4))
    assert calls
    handle.remove()
    assert runs_compiled(embedding, convs)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning")
def test_a_network_that_is_traced_is_traced_layer_by_layer() -> None:
    network = MultiCNN(WORDS, 3, dim=DIM, filters=FILTERS).eval()
    ids, lengths = texts(9, 6)
    traced = torch.jit.trace(network, (ids, lengths))
    torch.testing.assert_close(traced(ids, lengths), network(ids, lengths))


# Pruned: every way to the same numbers.


WAYS = {
    "dense": {"SPARSE_ROWS": 0.0, "SPARSE_FILTERS": 0.0},
    "sparse words": {"SPARSE_ROWS": 2.0, "SPARSE_WORDS": 2.0, "SPARSE_FILTERS": 0.0},
    "sparse filters": {"SPARSE_ROWS": 0.0, "SPARSE_FILTERS": 2.0},
    "sparse words and filters": {"SPARSE_ROWS": 2.0, "SPARSE_FILTERS": 2.0, "EVENT": 0}, "as it chooses": {},
}  # fmt: skip


def pruned(embedding: WordEmbedding, convs: list[nn.Conv1d], density: float, seed: int) -> Living:
    generator = torch.Generator().manual_seed(seed)
    alive = []
    with torch.no_grad():
        for layer in (embedding, *convs):
            alive.append(torch.rand(layer.weight.shape, generator=generator) < density)
            layer.weight[~alive[-1]] = 0
    return Living.of(alive[0], alive[1:])


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 3 * STRETCH), min_size=1, max_size=5),
    widths=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    density=st.sampled_from([0.0, 0.02, 0.3, 0.9, 1.0]),
    sparse=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_whatever_is_pruned_and_whichever_way_the_living_have_the_layers_numbers(
    way: str, lengths: list[int], widths: list[int], density: float, sparse: bool, seed: int
) -> None:
    embedding, convs = layers(widths, seed=seed)
    batch = texts(*lengths, padding=seed % 3, seed=seed)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in WAYS[way].items():
            patch.setattr(windows_module if name in ("EVENT", "SPARSE_WORDS") else living_module, name, value)
        living = pruned(embedding, convs, density, seed)
        theirs = learn(max_over_layers, embedding, convs, batch)
        embedding.sparse = sparse
        ours = learn(partial(max_over_time, living=living), embedding, convs, batch)
    assert ours[1].is_sparse == sparse
    ours[1] = ours[1].to_dense()
    torch.testing.assert_close(ours[0], theirs[0], rtol=0, atol=1e-12)
    weights = zip([ours[1], *ours[2::2]], [theirs[1], *theirs[2::2]], (embedding, *convs), strict=True)
    for mine, other, layer in weights:
        alive = layer.weight.detach() != 0
        torch.testing.assert_close(mine * alive, other * alive, rtol=0, atol=1e-12)
    for mine, other in zip(ours[3::2], theirs[3::2], strict=True):  # biases
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-12)


def test_a_living_entry_that_is_zero_gets_its_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in WAYS["sparse words and filters"].items():
        monkeypatch.setattr(windows_module if name in ("EVENT", "SPARSE_WORDS") else living_module, name, value)
    embedding, convs = layers((3,))
    with torch.no_grad():
        convs[0].weight[0] = 0
        convs[0].bias.fill_(1.0)
    living = Living.of(torch.ones_like(embedding.weight, dtype=torch.bool), [torch.ones_like(convs[0].weight) > 0])
    weight = learn(partial(max_over_time, living=living), embedding, convs, texts(9, 12))[2]
    assert weight[0].all()


def test_a_network_leaves_out_what_it_is_told_is_pruned_until_the_round_is_over(monkeypatch):
    network, batch = MultiCNN(WORDS, 3, dim=DIM, filters=FILTERS).eval(), texts(9, 31, 2)
    weights = dict(network.named_parameters())
    mask = prune({name: w.detach().abs() for name, w in weights.items()}, Mask.ones(weights), 0.97)
    mask.apply_(weights)
    expected = network(*batch)
    freezer = Freezer(weights, mask)
    with monkeypatch.context() as patch:
        patch.setattr(windows_module, "EVENT", 0)
        patch.delattr("lt_lightning.kernels.windows.strongest_of_table")
        freezer.tell(network)
        torch.testing.assert_close(network(*batch), expected)
    freezer.tell(network, over=True)
    with torch.no_grad():
        for weight in weights.values():
            weight.fill_(0.5)
    assert (network(*batch) != expected).all()


@pytest.mark.parametrize("shape", [(5,), (2, 7), (3, 2, 4)])
def test_sparse_gradients_of_look_ups_are_the_dense_ones(shape: tuple[int, ...]) -> None:
    embedding = WordEmbedding(WORDS, DIM).double()
    ids = torch.randint(0, 6, shape, generator=torch.Generator().manual_seed(0))
    ids.view(-1)[1] = PADDING
    upstream = torch.randn(*shape, DIM, dtype=torch.float64)
    (dense,) = torch.autograd.grad(embedding(ids), embedding.weight, upstream)
    embedding.sparse = True
    (sparse,) = torch.autograd.grad(embedding(ids), embedding.weight, upstream)
    assert sparse.is_sparse
    assert sparse.is_coalesced()
    assert sparse.indices()[0].tolist() == ids.unique().tolist()
    torch.testing.assert_close(sparse.to_dense(), dense, rtol=0, atol=1e-12)
    with pytest.raises(IndexError):
        embedding(torch.tensor([WORDS]))


def test_a_copy_of_a_network_looks_at_all_of_its_weights() -> None:
    network, batch = MultiCNN(WORDS, 3, dim=DIM, filters=FILTERS).eval(), texts(9, 31, 2)
    weights = {name: weight.clone() for name, weight in network.state_dict().items()}
    parameters = dict(network.named_parameters())
    expected = network(*batch)
    mask = prune({name: w.detach().abs() for name, w in parameters.items()}, Mask.ones(parameters), 0.97)
    mask.apply_(parameters)
    Freezer(parameters, mask).tell(network)
    copied = copy.deepcopy(network)
    for one in (copied, network):
        one.load_state_dict(weights)
        torch.testing.assert_close(one(*batch), expected)


def test_lengths_and_rows_that_do_not_fit_are_refused() -> None:
    embedding, convs = layers()
    ids, lengths = texts(9, 4)
    for wrong in (lengths[:1], torch.cat([lengths, lengths]), lengths[:, None]):
        with pytest.raises((ValueError, TypeCheckError), match="lengths"):
            max_over_windows(embedding, convs, ids, wrong)
    other = Living.of(torch.zeros(WORDS + 1, DIM, dtype=torch.bool), [None] * 3)
    with pytest.raises(ValueError, match=f"living rows of {WORDS + 1} words, not of {WORDS}"):
        max_over_windows(embedding, convs, ids, lengths, other)
