"""`Freezer` in a plain torch loop: pruned entries are exactly zero after every step of every optimizer."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn, optim

from lt_lightning.lottery import Freezer, Mask

# All of torch's, in the variants that treat a zero gradient differently.
OPTIMIZERS: dict[str, Callable[[list[Tensor]], optim.Optimizer]] = {
    "sgd": lambda params: optim.SGD(params, 0.1),
    "sgd_momentum": lambda params: optim.SGD(params, 0.1, momentum=0.9, weight_decay=0.1),
    "sgd_nesterov": lambda params: optim.SGD(params, 0.1, momentum=0.9, nesterov=True),
    "sgd_dampened_maximize": lambda params: optim.SGD(params, 0.1, momentum=0.9, dampening=0.5, maximize=True),
    "adam": lambda params: optim.Adam(params, 0.1),
    "adam_l2": lambda params: optim.Adam(params, 0.1, weight_decay=0.1, amsgrad=True),
    "adam_fused": lambda params: optim.Adam(params, 0.1, fused=True),
    "adam_foreach": lambda params: optim.Adam(params, 0.1, foreach=True),
    "adam_eps_0": lambda params: optim.Adam(params, 0.1, eps=0),
    "adamw": lambda params: optim.AdamW(params, 0.1, weight_decay=0.5),
    "adamw_fused": lambda params: optim.AdamW(params, 0.1, weight_decay=0.5, fused=True),
    "adamax": lambda params: optim.Adamax(params, 0.1, weight_decay=0.1),
    "nadam": lambda params: optim.NAdam(params, 0.1, weight_decay=0.1, decoupled_weight_decay=True),
    "radam": lambda params: optim.RAdam(params, 0.1, weight_decay=0.1),
    "rmsprop": lambda params: optim.RMSprop(params, 0.1),
    "rmsprop_centered": lambda params: optim.RMSprop(params, 0.1, momentum=0.9, centered=True, weight_decay=0.1),
    "adagrad": lambda params: optim.Adagrad(params, 0.1, weight_decay=0.1),
    "adadelta": lambda params: optim.Adadelta(params, weight_decay=0.1),
    "asgd": lambda params: optim.ASGD(params, 0.1),
    "rprop": lambda params: optim.Rprop(params, 0.1),
    "adafactor": lambda params: optim.Adafactor(params, 0.1),
    "lbfgs": lambda params: optim.LBFGS(params, 0.1, max_iter=3),
}
if hasattr(optim, "Muon"):
    OPTIMIZERS["muon"] = lambda params: optim.Muon([param for param in params if param.ndim == 2], 0.1)


def network(dtype: torch.dtype = torch.float32) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)).to(dtype)


def some_mask(module: nn.Module) -> Mask:
    """A checkerboard: half of each tensor, and a way through for every unit."""
    return Mask(
        {name: (torch.arange(param.numel()).view(param.shape) % 2).bool() for name, param in module.named_parameters()}
    )


def train(module: nn.Module, optimizer: optim.Optimizer, freeze: Callable[[], None], after: Callable[[], None]) -> None:
    param = next(module.parameters())
    generator = torch.Generator().manual_seed(2)
    for _ in range(10):
        inputs = torch.randn(8, 5, generator=generator).to(param)
        labels = torch.randint(3, (8,), generator=generator)

        def closure(inputs: Tensor = inputs, labels: Tensor = labels) -> Tensor:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(module(inputs), labels)
            loss.backward()
            freeze()
            return loss

        optimizer.step(closure)
        after()


def train_pruned(module: nn.Module, optimizer: optim.Optimizer) -> Mask:
    """Prune by `some_mask` and train; pruned entries must be zero after each step."""
    mask, params = some_mask(module), dict(module.named_parameters())
    mask.apply_(params)
    freezer = Freezer(params, mask)

    def check_zeros() -> None:
        assert not any(param.detach()[~mask[name]].any() for name, param in params.items())

    handles = freezer.watch([optimizer])
    train(module, optimizer, freezer.freeze_gradients, check_zeros)
    for handle in handles:
        handle.remove()
    return mask


@pytest.mark.parametrize("reused", [False, True], ids=["fresh", "reused"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_pruned_entries_are_zero_after_every_step(name, reused):
    module = network()
    optimizer = OPTIMIZERS[name](list(module.parameters()))
    if reused:  # its moments are those of the whole network
        train(module, optimizer, lambda: None, lambda: None)
    start = {name: param.detach().clone() for name, param in module.named_parameters()}
    mask = train_pruned(module, optimizer)
    moved = {id(param) for group in optimizer.param_groups for param in group["params"]}
    for key, param in module.named_parameters():
        if id(param) in moved and not reused:
            assert (param != start[key])[mask[key]].all(), "the living entries train on"


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "lbfgs"])
def test_the_living_move_as_if_every_step_were_projected(name):
    """Gradients masked before the step and weights after it, in full, by hand: bit for bit the same."""
    frozen, projected = network(), network()
    mask = train_pruned(frozen, OPTIMIZERS[name](list(frozen.parameters())))
    params = dict(projected.named_parameters())

    def project(tensors: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for key, tensor in tensors.items():
                tensor[~mask[key]] = 0

    project(params)
    optimizer = OPTIMIZERS[name](list(params.values()))
    train(projected, optimizer, lambda: project({key: p.grad for key, p in params.items()}), lambda: project(params))
    for left, right in zip(frozen.parameters(), projected.parameters(), strict=True):
        assert torch.allclose(left, right, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["sgd_momentum", "adam", "adamw", "adam_fused", "rmsprop"])
def test_pruned_entries_are_zero_in_every_precision(name, dtype):
    module = network(dtype)
    train_pruned(module, OPTIMIZERS[name](list(module.parameters())))


@pytest.mark.parametrize("inherits", [optim.SGD, optim.Adam], ids=lambda kind: kind.__name__)
def test_an_optimizer_of_ones_own_is_not_trusted(inherits):
    class Noisy(inherits):
        def step(self, closure):
            super().step(closure)
            with torch.no_grad():
                for group in self.param_groups:
                    for param in group["params"]:
                        param.add_(torch.randn_like(param))

    module = network()
    train_pruned(module, Noisy(module.parameters(), 0.1))


def test_pruned_entries_have_no_gradient_and_the_living_keep_theirs():
    module = network()
    mask = some_mask(module)
    module(torch.randn(4, 5)).square().sum().backward()
    before = {name: param.grad.clone() for name, param in module.named_parameters()}
    Freezer(dict(module.named_parameters()), mask).freeze_gradients()
    for name, param in module.named_parameters():
        assert not param.grad[~mask[name]].any()
        assert torch.equal(param.grad[mask[name]], before[name][mask[name]])


def test_pruned_weights_that_are_not_finite_become_zero():
    weight = nn.Parameter(torch.tensor([torch.inf, torch.nan, -1.0, torch.nan]))
    Freezer({"w": weight}, Mask({"w": torch.tensor([False, False, False, True])})).freeze_weights()
    assert weight.tolist()[:3] == [0, 0, 0]
    assert not weight[:3].signbit().any()
    assert weight[3].isnan()


def test_parameters_without_a_gradient_are_left_without():
    module = network()
    freezer = Freezer(dict(module.named_parameters()), some_mask(module))
    freezer.freeze_gradients()
    assert all(param.grad is None for param in module.parameters())


def test_only_parameters_with_pruned_entries_are_touched():
    module = network()
    mask = Mask.ones(module.named_parameters())
    module(torch.randn(4, 5)).sum().backward()
    versions = [param.grad._version for param in module.parameters()]
    freezer = Freezer(dict(module.named_parameters()), mask)
    freezer.freeze_gradients()
    freezer.freeze_weights()
    assert [param.grad._version for param in module.parameters()] == versions


SPARSE: dict[str, Callable[[list[Tensor]], optim.Optimizer]] = {
    "sgd": lambda params: optim.SGD(params, 0.1), "sgd_momentum": lambda params: optim.SGD(params, 0.1, momentum=0.9),
    "sparse_adam": lambda params: optim.SparseAdam(params, 0.1), "adagrad": lambda params: optim.Adagrad(params, 0.1),
}  # fmt: skip


def train_embedding(embedding: nn.Embedding, optimizer: optim.Optimizer, freezer: Freezer | None) -> list[Tensor]:
    """Ten steps on rows with repeats; the weights after each."""
    generator = torch.Generator().manual_seed(3)
    weights = []
    for _ in range(10):
        optimizer.zero_grad()
        embedding(torch.randint(6, (9,), generator=generator)).sin().sum().backward()
        assert embedding.weight.grad.is_sparse
        if freezer is not None:
            freezer.freeze_gradients()
        optimizer.step()
        weights.append(embedding.weight.detach().clone())
    return weights


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")  # of torch's own optimizers
@pytest.mark.parametrize("reused", [False, True], ids=["fresh", "reused"])
@pytest.mark.parametrize("name", SPARSE)
def test_sparse_gradients_leave_the_pruned_at_zero(name, reused):
    torch.manual_seed(0)
    embedding = nn.Embedding(6, 3, sparse=True)
    optimizer = SPARSE[name]([embedding.weight])
    if reused:
        train_embedding(embedding, optimizer, None)
    mask = some_mask(embedding)
    mask.apply_(embedding.named_parameters())
    start = embedding.weight.detach().clone()
    freezer = Freezer({"weight": embedding.weight}, mask)
    freezer.watch([optimizer])
    weights = train_embedding(embedding, optimizer, freezer)
    assert not any(weight[~mask["weight"]].any() for weight in weights)
    assert (weights[-1] != start)[mask["weight"]].all()


def test_a_sparse_gradient_is_masked_as_a_dense_one_is():
    torch.manual_seed(0)
    ids = torch.tensor([1, 4, 1, 0])
    grads = []
    for sparse in (True, False):
        embedding = nn.Embedding.from_pretrained(torch.arange(18.0).reshape(6, 3), freeze=False, sparse=sparse)
        embedding(ids).square().sum().backward()
        Freezer({"weight": embedding.weight}, some_mask(embedding)).freeze_gradients()
        grads.append(embedding.weight.grad)
    assert grads[0].is_sparse and not grads[1].is_sparse
    assert torch.equal(grads[0].to_dense(), grads[1])


@pytest.mark.gpu
def test_masks_go_where_the_parameters_are():
    module = network().cuda()
    mask = some_mask(module)
    module(torch.randn(4, 5, device="cuda")).sum().backward()
    Freezer(dict(module.named_parameters()), mask).freeze_gradients()
    assert all(not param.grad[~mask[name].cuda()].any() for name, param in module.named_parameters())


@pytest.mark.parametrize("value", [torch.inf, -torch.inf, torch.nan])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_gradients_that_are_not_finite_become_zero_where_they_are_pruned_and_stay_elsewhere(dtype, value):
    param = nn.Parameter(torch.ones(4, dtype=dtype))
    param.grad = torch.tensor([value, 2.5, value, -1.0], dtype=dtype)
    Freezer({"w": param}, Mask({"w": torch.tensor([False, True, True, False])})).freeze_gradients()
    assert param.grad[[0, 3]].tolist() == [0.0, 0.0]
    assert param.grad[1] == 2.5
    assert not param.grad[2].isfinite()


def test_what_an_optimizer_remembers_of_pruned_entries_is_forgotten() -> None:
    weight = torch.nn.Parameter(torch.randn(6))
    optimizer = torch.optim.Adam([weight])
    weight.grad = torch.arange(1.0, 7.0)
    optimizer.step()
    before = {name: value.clone() for name, value in optimizer.state[weight].items()}
    alive = torch.tensor([True, False, True, False, False, True])
    Freezer({"weight": weight}, Mask({"weight": alive})).watch([optimizer])
    for name in ("exp_avg", "exp_avg_sq"):
        torch.testing.assert_close(optimizer.state[weight][name], before[name] * alive, rtol=0, atol=0)
    assert optimizer.state[weight]["step"] == before["step"]
