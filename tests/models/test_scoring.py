"""Criteria on this project's networks: the conservation law of synflow, and kernels that step aside."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lt_lightning.lottery import LotteryError, Mask, prune, score
from lt_lightning.models.cnn import BinaryCNN, MultiCNN
from lt_lightning.models.embedding import OneHot
from lt_lightning.models.rnn.classifier import RecurrentClassifier

IDS = torch.tensor([[3, 4, 5, 6, 7, 2, 9], [4, 4, 2, 1, 1, 1, 1], [5, 6, 1, 1, 1, 1, 1]])
LENGTHS = torch.tensor([7, 3, 2])
TARGETS = torch.tensor([0, 1, 2])


def cnn(kind: type[MultiCNN] = MultiCNN, **settings: Any) -> MultiCNN:
    torch.manual_seed(0)
    classes = {} if kind is BinaryCNN else {"classes": 3}
    return kind(20, dim=6, filters=4, **classes, **settings)


def without_biases(net: nn.Module) -> nn.Module:
    with torch.no_grad():
        for name, param in net.named_parameters():
            if name.endswith("bias"):
                param.zero_()
    return net


@pytest.mark.parametrize("kind", [MultiCNN, BinaryCNN])
@pytest.mark.parametrize("row", [0, 1, 2])
def test_without_biases_each_layer_of_a_cnn_has_the_same_flow(kind, row):
    net = without_biases(cnn(kind))
    weights = {name: p.detach().clone() for name, p in net.named_parameters()}
    scores = score("synflow", net, example=(IDS[row:], LENGTHS[row:]))
    assert all(one.dtype == torch.float64 for one in scores.values())
    total = flow_by_hand(net)
    convs = sum(scores[f"convs.{number}.weight"].sum() for number in range(3))
    for flow in (scores["embedding.weight"].sum(), convs, scores["fc.weight"].sum()):
        torch.testing.assert_close(flow, total, rtol=1e-12, atol=0)
    for name, param in net.named_parameters():
        assert torch.equal(param.view(torch.int32), weights[name].view(torch.int32))


def flow_by_hand(net: nn.Module) -> Tensor:
    """The network of absolute weights for the sum of all words at each position: every window is the same."""
    words = net.embedding.weight.detach().double().abs().sum(0)
    features = [torch.einsum("fdw,d->f", conv.weight.detach().double().abs(), words) for conv in net.convs]
    return F.linear(torch.cat(features), net.fc.weight.detach().double().abs()).sum()


@pytest.mark.slow
def test_the_law_holds_while_synflow_prunes_in_a_hundred_iterations_and_no_layer_collapses():
    net = without_biases(cnn())
    names = [name for name, _ in net.named_parameters() if name.endswith("weight")]
    mask = Mask.ones({name: net.get_parameter(name) for name in names})
    for k in range(1, 101):
        scores = score("synflow", net, example=(IDS, LENGTHS), mask=mask, params=names)
        convs = sum(scores[name].sum() for name in names[1:4])
        torch.testing.assert_close(scores["embedding.weight"].sum(), scores["fc.weight"].sum())
        torch.testing.assert_close(convs, scores["fc.weight"].sum())
        keep = round(0.05 ** (k / 100) * mask.total)
        mask = prune(scores, mask, 1 - keep / mask.alive, scope="global")
    embedding, *convs, fc = mask.counts.values()
    assert embedding and sum(convs) and fc  # convolutions of different widths stand side by side
    assert mask.alive == round(0.05 * mask.total)


def test_a_deep_network_overflows_float32_and_not_the_scores():
    torch.manual_seed(0)
    net = nn.Sequential(*[layer for _ in range(30) for layer in (nn.Linear(300, 300, bias=False), nn.ReLU())])
    with torch.no_grad():
        for param in net.parameters():
            param.mul_(3)
    scores = score("synflow", net, example=torch.zeros(1, 300))
    sums = torch.stack([one.sum() for one in scores.values()])
    assert sums.min() > torch.finfo(torch.float32).max
    torch.testing.assert_close(sums, sums[:1].expand_as(sums), rtol=1e-9, atol=0)


def test_shared_weights_buffers_and_bags_take_part():
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bag, self.one_hot = nn.EmbeddingBag(5, 3), OneHot(3)
            self.one, self.other = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
            self.other.weight = self.one.weight
            self.norm = nn.BatchNorm1d(3, affine=False)
            self.norm.running_mean.fill_(-0.0)

        def forward(self, ids: Tensor) -> Tensor:
            return self.other(self.norm(self.one(self.bag(ids) + self.one_hot(ids[:, 0]))))

    net = Shared().eval()
    scores = score("synflow", net, example=torch.tensor([[1, 2]]))
    assert list(scores) == ["bag.weight", "one.weight"]
    weight = net.one.weight.detach().double().abs().requires_grad_()
    words = net.bag.weight.detach().double().abs().sum(0) + 1
    flow = (weight @ (weight @ words) / (1 + 1e-5) ** 0.5).sum()
    torch.testing.assert_close(scores["one.weight"], torch.autograd.grad(flow, weight)[0] * weight.detach())
    assert str(net.norm.running_mean.tolist()) == "[-0.0, -0.0, -0.0]"


@pytest.mark.parametrize(("net", "culprit"), [
    (lambda: RecurrentClassifier(20, 3, dim=6, hidden=4), r"LSTM 'rnn'"),
    (lambda: RecurrentClassifier(20, 3, dim=6, hidden=4, cell="gru", layers=1), r"GRU 'rnn'"),
    (lambda: RecurrentClassifier(20, 3, dim=6, hidden=4, cell="lstm", backend="equations"), r"the function sigmoid"),
    (lambda: nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3)), r"LayerNorm '1'"),
    (lambda: nn.Sequential(nn.Linear(3, 3), nn.GELU()), r"GELU '1'"),
    (lambda: nn.TransformerEncoderLayer(4, 2), r"MultiheadAttention 'self_attn'"),
    (lambda: nn.LSTM(3, 3), r"LSTM"),
])  # fmt: skip
def test_synflow_refuses_networks_whose_output_does_not_scale(net, culprit):
    inputs = torch.zeros(1, 3) if isinstance(net(), (nn.Sequential, nn.LSTM)) else (IDS, LENGTHS)
    with pytest.raises(LotteryError, match=rf"^criterion: synflow needs .* but the network has {culprit}, ") as caught:
        score("synflow", net(), example=inputs)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("function", [torch.tanh, F.gelu, lambda x: x.softmax(1), lambda x: F.layer_norm(x, (3,))])
def test_synflow_refuses_functions_that_no_layer_shows(function):
    class Hidden(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return function(super().forward(input))

    with pytest.raises(LotteryError, match="but the network has the function "):
        score("synflow", Hidden(3, 3), example=torch.zeros(1, 3))


@pytest.mark.parametrize("function", [
    torch.square, torch.sqrt, lambda x: x * x.mean(), lambda x: x.clamp(max=3), lambda x: x.clamp(max=1e-3),
    lambda x: torch.minimum(x, torch.ones(())), lambda x: x / (x.square().sum() + 1e-12).sqrt(), torch.sinh,
    lambda x: 2**x, lambda x: 2**x / (2**x).sum(),
])  # fmt: skip
def test_synflow_refuses_operations_whose_output_does_not_scale(function):
    class Odd(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return function(super().forward(input))

    with pytest.raises(LotteryError, match="but the network has operations that are no such layer, whose output"):
        score("synflow", Odd(3, 3, bias=False), example=torch.zeros(1, 3))


@pytest.mark.parametrize("depth", [1, 2, 8, 15, 30])
@pytest.mark.parametrize("std", [1.0, 0.01, 0.001])
@pytest.mark.parametrize("bias", [0.0, 0.1, 1e12])
def test_synflow_takes_layers_whatever_their_weights_and_biases(depth, std, bias):
    net = nn.Sequential(*[part for _ in range(depth) for part in (nn.Linear(8, 8), nn.ReLU())])
    for name, param in net.named_parameters():
        nn.init.constant_(param, bias) if name.endswith("bias") else nn.init.normal_(param, std=std)
    assert all(flow.isfinite().all() for flow in score("synflow", net, example=torch.zeros(1, 8)).values())


def test_synflow_takes_normalized_batches_pooling_and_networks_that_nothing_passes_through():
    net = nn.Sequential(
        nn.Conv1d(3, 4, 3, padding=1), nn.BatchNorm1d(4), nn.ReLU(), nn.MaxPool1d(2, padding=1), nn.Flatten(),
        nn.Linear(12, 2),
    ).eval()  # fmt: skip
    net[1].running_mean.fill_(0.1)
    net[1].running_var.fill_(1e6)
    example = torch.zeros(1, 3, 5)
    assert score("synflow", net, example=example)["5.weight"].any()
    mask = {"0.weight": torch.zeros(4, 3, 3, dtype=torch.bool)}
    assert not score("synflow", net, example=example, mask=mask)["0.weight"].any()


def test_floating_inputs_beside_words_are_weights_of_these():
    class Weighted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.out = nn.Embedding(5, 3), nn.Linear(3, 2)

        def forward(self, ids: Tensor, weights: Tensor) -> Tensor:
            assert weights.max() <= 1
            return self.out((self.words(ids) * weights[..., None]).sum(1))

    scores = score("synflow", Weighted(), example=(torch.tensor([[1, 2]]), torch.tensor([[0.5, 1.0]])))
    assert scores["words.weight"].all()


def test_an_example_that_does_not_fit_is_one_line():
    for example in (torch.zeros(1, 7), (torch.zeros(1, 3), 3)):
        with pytest.raises(LotteryError, match=r"^example: Linear cannot be called with it \(.*give the arguments"):
            score("synflow", nn.Linear(3, 3), example=example)


def parameters(net: nn.Module) -> Tensor:
    return torch.nn.utils.parameters_to_vector(net.parameters())


NETWORKS = [
    lambda kernel: cnn(kernel=kernel).double(),
    lambda kernel: cnn(BinaryCNN, kernel=kernel).double(),
    lambda kernel: RecurrentClassifier(20, 3, dim=6, hidden=4, kernel=kernel).double(),
    lambda kernel: RecurrentClassifier(20, 3, dim=6, hidden=4, kernel=kernel, cell="gru").double(),
]


def loss_of(net: nn.Module, rows: slice = slice(0, 3)) -> Tensor:
    logits = net(IDS[rows], LENGTHS[rows])
    if logits.dim() == 1:
        return F.binary_cross_entropy_with_logits(logits, (TARGETS[rows] > 0).double())
    return F.cross_entropy(logits, TARGETS[rows])


@pytest.mark.parametrize("build", NETWORKS)
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("criterion", ["snip", "grasp", "fisher"])
def test_compiled_kernels_give_the_scores_of_the_reference(build, sparse, criterion):
    scores = []
    for kernel in ("fast", "reference"):
        torch.manual_seed(3)
        net = build(kernel)
        torch.nn.utils.vector_to_parameters(torch.randn(parameters(net).numel()).double(), net.parameters())
        net.embedding.sparse = sparse and kernel == "fast"
        scores.append(score(criterion, net, losses=[(lambda net=net: loss_of(net), 3)]))
        assert net.embedding.sparse == (sparse and kernel == "fast")
    torch.testing.assert_close(scores[0], scores[1], rtol=1e-6, atol=1e-12)
    assert all(one.count_nonzero() for one in scores[0].values())


@pytest.mark.parametrize("build", NETWORKS)
def test_fisher_of_a_batch_is_that_of_its_rows(build):
    net = build("fast")
    whole = score("fisher", net, losses=[(lambda: loss_of(net), 3)])
    rows = score("fisher", net, losses=[(lambda row=row: loss_of(net, slice(row, row + 1)), 1) for row in range(3)])
    torch.testing.assert_close(whole, rows, rtol=1e-6, atol=1e-12)
