"""`lottery.score`: closed forms, explicit Hessians, loops over rows, and what scoring leaves alone."""

import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lt_lightning.lottery import CRITERIA, LotteryError, Mask, prune, score

H = torch.tensor([[2.0, 1, 0], [1, 3, 1], [0, 1, 4]])
OPTIMUM = torch.tensor([0.5, 0.5, 0.5])


class Quadratic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([1.0, -2, 0.5]))

    def loss(self) -> Tensor:
        return (self.w - OPTIMUM) @ H @ (self.w - OPTIMUM) / 2


def order(scores: Tensor) -> list[int]:
    return scores.argsort().tolist()


def test_scores_of_a_quadratic_loss_are_its_closed_forms():
    module = Quadratic()
    losses = [module.loss]
    snip = score("snip", module, losses=losses)["w"]
    assert snip.tolist() == [1.5, 14, 1.25]
    assert order(snip) == [2, 0, 1]
    grasp = score("grasp", module, losses=losses)["w"]
    assert (-grasp).tolist() == [10, -50, 8.5]
    assert order(grasp) == [0, 2, 1]
    assert score("taylor", module, losses=losses)["w"].tolist() == [1.5**2, 14**2, 1.25**2]
    assert score("fisher", module, losses=losses)["w"].tolist() == [1.5**2 / 2, 14**2 / 2, 1.25**2 / 2]
    assert score("movement", module, losses=losses * 2)["w"].tolist() == [3, -28, 2.5]
    assert score("movement", module, movement={"w": torch.tensor([1.0, 2, 3])})["w"].tolist() == [1, 2, 3]
    first = torch.tensor([-3.0, 1, 0])
    assert score("magnitude_increase", module, initial={"w": first})["w"].tolist() == [-2, 1, 0.5]


def test_synflow_gives_the_flows_of_two_layers():
    module = nn.Sequential(nn.Linear(2, 3, bias=False), nn.ReLU(), nn.Linear(3, 2, bias=False))
    with torch.no_grad():
        module[0].weight.copy_(torch.tensor([[1.0, -2], [3, 0.5], [-1, 1]]))
        module[2].weight.copy_(torch.tensor([[2.0, -1, 0.5], [1, 4, -3]]))
    for example in (torch.zeros(1, 2), torch.full((5, 2), -7.0), torch.zeros(2)):
        scores = score("synflow", module, example=example)
        assert scores["0.weight"].tolist() == [[3, 6], [15, 2.5], [3.5, 3.5]]
        assert scores["2.weight"].tolist() == [[6, 3.5, 1], [3, 14, 6]]
        assert [float(one.sum()) for one in scores.values()] == [33.5, 33.5]


class Net(nn.Module):
    """An embedding, layers with second derivatives, BatchNorm and dropout."""

    def __init__(self, activation: Callable[[], nn.Module] = nn.Tanh, sparse: bool = False) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.embedding = nn.Embedding(6, 3, sparse=sparse)
        self.body = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), activation(), nn.Dropout(0.5))
        self.fc = nn.Linear(4, 3)
        self.unused = nn.Parameter(torch.tensor([1.0, -0.0]))
        self.body[1].running_mean.normal_()
        self.body[1].weight.data[0] = -0.0

    def forward(self, ids: Tensor) -> Tensor:
        return self.fc(self.body(self.embedding(ids).mean(1)))


IDS = torch.tensor([[0, 1], [2, 2], [1, 3], [4, 0], [3, 3], [2, 4], [0, 0]])
TARGETS = torch.tensor([0, 1, 2, 0, 1, 1, 2])
SHORT_LAST = [slice(0, 3), slice(3, 6), slice(6, 7)]


def losses_of(net: nn.Module, parts: list[slice] = SHORT_LAST) -> list[Any]:
    return [(lambda part=part: F.cross_entropy(net(IDS[part]), TARGETS[part]), len(IDS[part])) for part in parts]


def gradient_of(net: nn.Module, part: slice = slice(0, 7), temperature: float = 1.0) -> dict[str, Tensor]:
    params = dict(net.named_parameters())
    loss = F.cross_entropy(net(IDS[part]) / temperature, TARGETS[part])
    found = torch.autograd.grad(loss, list(params.values()), allow_unused=True)
    return {
        name: torch.zeros_like(p) if g is None else g.to_dense()
        for (name, p), g in zip(params.items(), found, strict=True)
    }


def check(scores: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    assert list(scores) == list(expected)
    torch.testing.assert_close(dict(scores), dict(expected), rtol=1e-9, atol=1e-12)


@pytest.fixture
def net() -> Net:
    return Net().double()


def test_gradients_of_batches_are_averaged_by_rows_before_the_absolute_value(net):
    training = score("snip", net, losses=losses_of(net))
    gradient = gradient_of(net.eval())
    check(training, {name: (p * gradient[name]).abs() for name, p in net.named_parameters()})
    check(score("taylor", net, losses=losses_of(net)), {name: one.square() for name, one in training.items()})


def marked(function: Callable[[], Tensor], rows: int) -> Any:
    def loss() -> Tensor:
        return function()

    loss.rows = rows  # pyright: ignore[reportFunctionMemberAccess]
    return loss


def test_rows_are_told_by_an_attribute_a_pair_or_the_result_and_batches_count_equally_without(net):
    pairs = losses_of(net)
    expected = score("snip", net, losses=pairs)
    check(score("snip", net, losses=(marked(*pair) for pair in pairs)), expected)
    check(score("snip", net, losses=[lambda f=f, rows=rows: (f(), rows) for f, rows in pairs]), expected)
    equally = [gradient_of(net.eval(), part) for part in SHORT_LAST]
    means = {name: sum(one[name] for one in equally) / 3 for name, _ in net.named_parameters()}
    check(
        score("snip", net, losses=[function for function, _ in pairs]),
        {name: (p * means[name]).abs() for name, p in net.named_parameters()},
    )
    with pytest.raises(LotteryError, match=r"^losses: the number of rows is known of some batches only"):
        score("snip", net, losses=[pairs[0], pairs[1][0]])


@pytest.mark.parametrize("temperature", [None, 1.0])
@pytest.mark.parametrize("parts", [[slice(0, 7)], SHORT_LAST])
def test_grasp_is_an_explicit_hessian_times_the_gradient(net, temperature, parts):
    options = {} if temperature is None else {"temperature": temperature}
    mask = Mask.ones(dict(net.named_parameters()))
    mask["embedding.weight"][1] = False
    scores = score("grasp", net, losses=(one for one in losses_of(net, parts)), mask=mask, **options)
    check(scores, explicit(net, mask, 200 if temperature is None else temperature))


def explicit(net: nn.Module, mask: Mapping[str, Tensor], temperature: float) -> dict[str, Tensor]:
    """Return w ⊙ Hg of the living entries from the whole Hessian."""
    net.eval()
    names = list(mask)
    living = {name: p.detach() * mask[name] for name, p in net.named_parameters()}
    flat = torch.cat([value.reshape(-1) for value in living.values()])
    alive = torch.cat([mask[name].reshape(-1) for name in names])

    def loss(flat: Tensor) -> Tensor:
        pieces = flat.split([living[name].numel() for name in names])
        state = {name: piece.view(living[name].shape) for name, piece in zip(names, pieces, strict=True)}
        return F.cross_entropy(torch.func.functional_call(net, state, (IDS,)) / temperature, TARGETS)

    (gradient,) = torch.autograd.grad(loss(flat.requires_grad_()), flat)
    hessian = torch.autograd.functional.hessian(loss, flat.detach())
    products = (flat.detach() * (hessian @ (gradient * alive)) * alive).split([p.numel() for p in living.values()])
    return {name: one.view(living[name].shape) for name, one in zip(names, products, strict=True)}


def test_the_product_at_temperature_200_is_no_multiple_of_that_at_1(net):
    cold, hot = (score("grasp", net, losses=losses_of(net), temperature=t)["fc.weight"] for t in (1, 200))
    ratios = hot / cold
    assert ratios.max() > 1.5 * ratios.min()


@pytest.mark.parametrize("rewrite", [
    lambda logits, targets: F.cross_entropy(logits, targets),
    lambda logits, targets: F.nll_loss(logits.log_softmax(1), targets),
    lambda logits, targets: F.nll_loss(F.log_softmax(logits, dim=1), targets),
    lambda logits, targets: nn.CrossEntropyLoss()(input=logits, target=targets),
])  # fmt: skip
def test_logits_are_divided_in_whatever_form_they_reach_the_loss(net, rewrite):
    mask = Mask.ones(dict(net.named_parameters()))
    check(score("grasp", net, losses=[lambda: rewrite(net(IDS), TARGETS)]), explicit(net, mask, 200))


def test_logits_of_a_binary_loss_are_divided_too(net):
    targets = torch.randint(2, (7, 3), dtype=torch.float64)
    plain = score(
        "grasp", net, losses=[lambda: F.binary_cross_entropy_with_logits(net(IDS) / 200, targets)], temperature=1
    )
    check(score("grasp", net, losses=[lambda: F.binary_cross_entropy_with_logits(net(IDS), targets)]), plain)


def fisher_by_hand(net: nn.Module) -> dict[str, Tensor]:
    net.eval()
    rows = [gradient_of(net, slice(row, row + 1)) for row in range(len(IDS))]
    return {
        name: p.detach().square() * sum(row[name].square() for row in rows) / len(rows) / 2
        for name, p in net.named_parameters()
    }  # fmt: skip


@pytest.mark.parametrize("parts", [[slice(0, 7)], SHORT_LAST, [slice(row, row + 1) for row in range(7)]])
def test_fisher_squares_per_text(parts):
    for net in (Net().double(), Net(sparse=True).double()):
        expected = fisher_by_hand(net)
        check(score("fisher", net, losses=losses_of(net, parts)), expected)
        check(score("fisher", net, losses=[function for function, _ in losses_of(net, parts)]), expected)


def test_fisher_of_four_texts_is_not_that_of_their_mean():
    """A weight of 1 whose gradients on four texts are 0.25, −0.25, 0.25, −0.25 times their factor."""
    module = nn.Linear(1, 1, bias=False)
    nn.init.ones_(module.weight)
    inputs = torch.tensor([[0.25], [-0.25], [0.25], [-0.25]])
    assert score("fisher", module, losses=[lambda: module(inputs).mean()])["weight"].item() == 0.25**2 / 2
    assert score("fisher", module, losses=[(lambda: module(inputs).mean(), 4)])["weight"].item() == 0.03125


@pytest.mark.parametrize("change", [lambda loss: loss / 2 + 1, lambda loss: 1 - loss * torch.tensor(0.5)])
def test_fisher_takes_a_scaled_mean_apart(net, change):
    scores = score("fisher", net, losses=[(lambda: change(F.cross_entropy(net(IDS), TARGETS)), 7)])
    check(scores, {name: one / 4 for name, one in fisher_by_hand(net).items()})


def test_a_mean_that_cannot_be_taken_apart_is_refused_by_fisher(net):
    for loss in (
        lambda: F.cross_entropy(net(IDS), TARGETS) ** 2,
        lambda: 1 / F.cross_entropy(net(IDS), TARGETS),
        lambda: F.cross_entropy(net(IDS), TARGETS) + net.fc.weight.square().sum(),
        lambda: F.cross_entropy(net(IDS), TARGETS, weight=torch.ones(3).double()),
        lambda: F.cross_entropy(net(IDS), TARGETS.clone().index_fill(0, torch.tensor([0]), -100)),
    ):
        with pytest.raises(LotteryError, match=r"^losses: fisher needs the loss of each row.*one row each"):
            score("fisher", net, losses=[(loss, 7)])


def everything(net: nn.Module) -> list[Any]:
    tensors = [*net.parameters(), *net.buffers()]
    return [
        [tensor.detach().reshape(-1).contiguous().view(torch.uint8).tolist() for tensor in tensors],
        [id(tensor) for tensor in tensors],
        [None if p.grad is None else (id(p.grad), p.grad.to_dense().tolist()) for p in net.parameters()],
        [p.requires_grad for p in net.parameters()],
        [part.training for part in net.modules()],
        [part.sparse for part in net.modules() if isinstance(part, nn.Embedding)],
        torch.get_rng_state().tolist(),
        random.getstate(),
        np.random.get_state()[1].tolist(),
        torch.is_grad_enabled(),
    ]


class StopError(Exception):
    pass


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("fails", [False, True])
def test_scoring_leaves_everything_as_it_was(criterion, fails):
    net = Net(nn.ReLU, sparse=True)
    net(IDS).sum().backward()
    net.body[2].eval()
    net.fc.bias.requires_grad_(False)
    mask = Mask({name: torch.rand(p.shape) > 0.3 for name, p in net.named_parameters()})
    before = everything(net)

    def loss() -> Tensor:
        net.train()  # as careless code does
        random.random(), np.random.rand(), torch.rand(1)
        value = F.cross_entropy(net(IDS), TARGETS)
        value.backward(retain_graph=True)
        if fails:
            raise StopError
        return value

    arguments = {"initial": {name: torch.ones_like(p) for name, p in net.named_parameters()}}
    options = arguments if criterion == "magnitude_increase" else {}
    handle = net.fc.register_forward_hook(lambda *_: loss.stop()) if fails and criterion == "synflow" else None
    loss.stop = lambda: (_ for _ in ()).throw(StopError)  # pyright: ignore[reportFunctionMemberAccess]
    try:
        with torch.no_grad():
            before[-1] = False
            score(criterion, net, losses=[(loss, 7)], example=IDS, mask=mask, **options)
            assert everything(net) == before
    except StopError:
        assert fails
        with torch.no_grad():
            assert everything(net) == before
    finally:
        if handle is not None:
            handle.remove()


@pytest.mark.parametrize("criterion", CRITERIA)
def test_pruned_entries_score_0_and_count_as_zero_weights(criterion):
    net, zeroed = Net(nn.ReLU).double(), Net(nn.ReLU).double()
    mask = Mask({name: torch.rand(p.shape) > 0.4 for name, p in net.named_parameters()})
    mask.apply_(dict(zeroed.named_parameters()))
    initial = {name: torch.ones_like(p) for name, p in net.named_parameters()}
    options = {"initial": initial} if criterion == "magnitude_increase" else {}
    scores = score(criterion, net, losses=losses_of(net), example=IDS, mask=mask, **options)
    for name, one in scores.items():
        assert one[~mask[name]].count_nonzero() == 0
        assert one.isfinite().all()
    check(scores, score(criterion, zeroed, losses=losses_of(zeroed), example=IDS, mask=mask, **options))


@pytest.mark.parametrize("criterion", ["snip", "grasp", "synflow", "taylor", "fisher", "random"])
def test_iterative_scoring_revives_nothing(criterion):
    net = Net(nn.ReLU).double()
    mask = Mask.ones(dict(net.named_parameters()))
    for _ in range(8):
        scores = score(criterion, net, losses=losses_of(net), example=IDS, mask=mask)
        smaller = prune(scores, mask, 0.3, scope="global")
        assert all(not (smaller[name] & ~mask[name]).any() for name in mask)
        assert smaller.alive == mask.alive - round(0.3 * mask.alive)
        mask = smaller


def test_params_are_named_or_given(net):
    losses = losses_of(net)
    everyone = score("snip", net, losses=losses)
    assert list(score("snip", net, losses=losses, params=["fc.weight", "unused"])) == ["fc.weight", "unused"]
    given = score("snip", net, losses=losses, params={"fc.weight": net.fc.weight})
    assert torch.equal(given["fc.weight"], everyone["fc.weight"])
    net.fc.weight.requires_grad_(False)
    assert "fc.weight" not in score("snip", net, losses=losses)
    assert torch.equal(score("snip", net, losses=losses, params=["fc.weight"])["fc.weight"], everyone["fc.weight"])
    assert everyone["unused"].tolist() == [0, 0]
    with pytest.raises(LotteryError, match=r"^params: there is no parameter 'fc'; there are: unused"):
        score("snip", net, losses=losses, params=["fc"])


def test_seeds_draw_random_scores(net):
    one, same, other = (score("random", net, seed=seed)["fc.weight"] for seed in (3, 3, 4))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_a_criterion_of_ones_own_gets_losses_rows_module_and_options(net):
    def own(parameters, losses, module, factor=1.0):
        assert not module.training
        (loss, *_) = losses
        gradient = torch.autograd.grad(loss(), parameters["fc.weight"])[0]
        return {name: gradient * factor * loss.rows if name == "fc.weight" else p for name, p in parameters.items()}

    scores = score(own, net, losses=losses_of(net), factor=2.0)
    torch.testing.assert_close(scores["fc.weight"], 6 * gradient_of(net.eval(), SHORT_LAST[0])["fc.weight"])


@pytest.mark.parametrize(("criterion", "arguments", "words"), [
    ("snip", {}, "criterion: snip needs losses, one function per batch"),
    ("taylor", {}, "criterion: taylor needs losses"),
    ("grasp", {}, "criterion: grasp needs losses"),
    ("fisher", {"example": IDS}, "criterion: fisher needs losses"),
    ("movement", {}, "criterion: movement needs losses, or the movement"),
    ("synflow", {}, "criterion: synflow needs an example of the network's input"),
    ("magnitude_increase", {}, "criterion: magnitude_increase needs the first weights"),
    ("snip", {"losses": []}, "losses: there are none"),
    ("snip", {"losses": [1]}, "losses: int is not a function"),
    ("snip", {"losses": 1}, "losses: int is not a list"),
    ("snip", {"losses": [lambda: 1.0]}, "losses: a function returned float"),
    ("snip", {"losses": [lambda: torch.ones(2)]}, r"losses: a function returned a tensor of shape \(2,\)"),
    ("snip", {"losses": [(lambda: torch.ones(()), -1)]}, "losses: -1 is not a number of rows"),
    ("snip", {"losses": [(lambda: torch.ones(()), 0)]}, "losses: no batch has rows"),
    ("snip", {"losses": [torch.ones], "temperature": 1}, "criterion: snip has no option 'temperature'; it has: none"),
    ("grasp", {"losses": [torch.ones], "temprature": 1}, "criterion: grasp has no option 'temprature'; it has: temp"),
    ("grasp", {"losses": [lambda: torch.ones(())], "temperature": 0}, "temperature: 0 is not a number above 0"),
    ("synflow", {"example": 3}, "example: there is no tensor in it"),
    ("magnitude", {"mask": {"fc.weight": torch.ones(2, dtype=torch.bool)}}, "mask: that of 'fc.weight' has shape"),
])  # fmt: skip
def test_missing_and_wrong_inputs_are_one_line(criterion, arguments, words):
    with pytest.raises(LotteryError, match=f"^{words}") as caught:
        score(criterion, Net(nn.ReLU), **arguments)
    assert "\n" not in str(caught.value)


def test_scores_that_are_not_finite_are_refused(net):
    with pytest.raises(
        LotteryError, match=r"^criterion: snip returned for 'embedding.weight' scores that are not finite"
    ):
        score("snip", net, losses=[lambda: net(IDS).sum() * torch.inf], params=["embedding.weight"])


class OnceOnly(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor) -> Tensor:
        return inputs.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * 2


def test_grasp_refuses_an_operation_without_second_derivative(net):
    with pytest.raises(LotteryError, match=r"^criterion: grasp needs second derivatives.*use snip"):
        score("grasp", net, losses=[lambda: F.cross_entropy(OnceOnly.apply(net(IDS)), TARGETS)])


@pytest.mark.parametrize("layers", [
    lambda: nn.Sequential(nn.LSTM(3, 4, bidirectional=True)),
    lambda: nn.Sequential(nn.GRU(3, 4)),
    lambda: nn.TransformerEncoderLayer(3, 1, 4, 0.5, batch_first=True),
])  # fmt: skip
def test_grasp_differentiates_recurrent_layers_and_attention_twice(layers):
    torch.manual_seed(0)
    net = layers().double()
    inputs = torch.randn(2, 5, 3, dtype=torch.float64)

    def loss() -> Tensor:
        output = net(inputs)
        output = output[0] if isinstance(output, tuple) else output
        return F.cross_entropy(output.flatten(0, 1), torch.arange(10) % output.shape[-1])

    name, param = next(iter(net.named_parameters()))
    scores = score("grasp", net, losses=[loss], params=[name], temperature=1.0)[name]
    net.eval()
    step = 1e-6

    def gradient() -> Tensor:
        return torch.autograd.grad(loss(), param)[0]

    along = gradient()
    with torch.no_grad():
        param.add_(along, alpha=step)
    ahead = gradient()
    with torch.no_grad():
        param.sub_(along, alpha=2 * step)
    behind = gradient()
    with torch.no_grad():
        param.add_(along, alpha=step)
    torch.testing.assert_close(scores, param.detach() * (ahead - behind) / (2 * step), rtol=1e-4, atol=1e-8)
