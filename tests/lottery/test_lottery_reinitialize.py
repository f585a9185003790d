"""`reinitialize`: fresh weights from the module's own initialiser, seeded, touching nothing else."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lt_lightning.lottery import LotteryError
from lt_lightning.lottery.rewinding import reinitialize, restore, snapshot


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Sequential(nn.Linear(6, 5), nn.PReLU()), nn.Linear(5, 2))


def recurrent() -> nn.Module:
    return nn.ModuleDict({"embedding": nn.Embedding(7, 4, padding_idx=0), "lstm": nn.LSTM(4, 3, 2, bidirectional=True)})


def convolutional() -> nn.Module:
    return nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.Conv1d(4, 2, 3))


def attention() -> nn.Module:
    return nn.MultiheadAttention(8, 2)


NETWORKS = (mlp, recurrent, convolutional, attention)


def trained(build: Callable[[], nn.Module]) -> nn.Module:
    """A network whose parameters and buffers are none that an initialiser would draw."""
    module = build()
    with torch.no_grad():
        for tensor in module.state_dict().values():
            tensor.add_(5)
    return module


@pytest.mark.parametrize("build", NETWORKS)
def test_weights_are_those_of_a_fresh_network(build):
    module = trained(build)
    reinitialize(module, 12)
    with torch.random.fork_rng():
        torch.manual_seed(12)
        fresh = build()
    for name, tensor in fresh.state_dict().items():
        assert torch.equal(module.state_dict()[name], tensor), name


def test_a_transformer_is_drawn_again():
    module = trained(lambda: nn.Transformer(8, 2, 1, 1, 16, batch_first=True))
    reinitialize(module, 0)
    assert all(param.abs().max() < 2 for param in module.parameters())


def test_the_random_state_of_the_process_is_untouched():
    state = torch.get_rng_state()
    reinitialize(mlp(), 3)
    assert not torch.equal(torch.get_rng_state(), state)  # built, and so drawn from
    module, state = mlp(), torch.get_rng_state()
    reinitialize(module, 3)
    assert torch.equal(torch.get_rng_state(), state)


def test_frozen_parameters_keep_their_values():
    module = trained(mlp)
    module[0].requires_grad_(False)
    module[3].bias.requires_grad_(False)
    kept = {name: param.clone() for name, param in module.named_parameters() if not param.requires_grad}
    reinitialize(module, 0)
    assert all(torch.equal(module.get_parameter(name), value) for name, value in kept.items())
    assert module[3].weight.abs().max() < 1


def test_a_frozen_part_keeps_its_statistics_too():
    module = nn.Sequential(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)), nn.BatchNorm1d(3), nn.Linear(3, 1))
    with torch.no_grad():
        for tensor in module.state_dict().values():
            tensor.fill_(7)
    module[0].requires_grad_(False)
    reinitialize(module, 0)
    assert all((tensor == 7).all() for tensor in module[0].state_dict().values())
    assert module[1].running_mean.tolist() == [0, 0, 0]
    assert module[1].weight.tolist() == [1, 1, 1]


def test_only_what_redraw_names_is_drawn_and_as_if_all_were():
    def module() -> nn.Sequential:
        found = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 4), nn.Linear(4, 2))
        with torch.no_grad():
            for param in found.parameters():
                param.fill_(7)
        return found

    some, all_ = module(), module()
    reinitialize(some, 3, redraw=["1.*", "*bias"])
    reinitialize(all_, 3)
    for name, param in some.named_parameters():
        if name in ("0.weight", "2.weight"):
            assert (param == 7).all()
        else:
            assert torch.equal(param, all_.get_parameter(name))


def test_a_part_of_which_nothing_is_redrawn_keeps_its_statistics():
    module = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    with torch.no_grad():
        for tensor in module.state_dict().values():
            tensor.fill_(7)
    reinitialize(module, 0, redraw=["0.*"])
    assert all((tensor == 7).all() for tensor in module[1].state_dict().values())
    reinitialize(module, 0, redraw=["1.bias"])
    assert module[1].running_mean.tolist() == [0, 0, 0]


def test_what_need_not_be_drawn_needs_no_initialiser():
    module = nn.Sequential(nn.Linear(2, 2), Scale())
    reinitialize(module, 0, redraw=["0.*"])
    assert module[1].factor.tolist() == [3, 3]
    with pytest.raises(LotteryError, match=r"'1\.factor'"):
        reinitialize(module, 0, redraw=["1.*"])


def test_a_shared_parameter_is_drawn_under_its_first_name():
    module = nn.ModuleDict({"encoder": nn.Embedding(4, 3), "decoder": nn.Linear(3, 4, bias=False)})
    module["decoder"].weight = module["encoder"].weight
    before = module["encoder"].weight.clone()
    reinitialize(module, 0, redraw=["encoder.*"])
    assert not torch.equal(module["decoder"].weight, before)
    assert module["decoder"].weight is module["encoder"].weight


def test_a_redraw_pattern_that_matches_nothing_is_an_error_that_lists_the_names():
    module = nn.Sequential(nn.Linear(2, 2))
    before = snapshot(module)
    with pytest.raises(LotteryError, match=r"^redraw: .*'convs\.\*' matches no parameter.*0\.weight, 0\.bias"):
        reinitialize(module, 0, redraw=["*", "convs.*"])
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


class Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.full((2,), 3.0))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.factor * inputs


class Whole(nn.Module):
    """A module whose reset_parameters says how its parts start, or forgets one."""

    def __init__(self, forgets: bool = False) -> None:
        super().__init__()
        self.fc, self.scale, self._forgets = nn.Linear(2, 2), Scale(), forgets
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.eye_(self.fc.weight)
        if not self._forgets:
            nn.init.uniform_(self.scale.factor)


def test_a_parameter_without_an_initialiser_is_an_error_that_names_it():
    module = nn.Sequential(nn.Linear(2, 2), Scale())
    before = snapshot(module)
    with pytest.raises(LotteryError, match=r"^rewind: .*'1\.factor'.*Scale.*reset_parameters.*initialize="):
        reinitialize(module, 0)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_a_parameter_that_every_initialiser_forgets_is_an_error_that_names_it():
    module = Whole(forgets=True)
    before = snapshot(module)
    with pytest.raises(LotteryError, match=r"'scale\.factor'"):
        reinitialize(module, 0)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_a_weight_behind_a_parametrization_is_named():
    """`reset_parameters` of a weight-normalised layer writes to a passing tensor: nothing would change."""
    module = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
    with pytest.raises(LotteryError, match=r"'parametrizations\.weight\.original0'"):
        reinitialize(module, 0)


def test_an_outer_initialiser_has_the_last_word():
    module = Whole()
    with torch.no_grad():
        module.fc.weight.fill_(9)
        module.fc.bias.fill_(9)
        module.scale.factor.fill_(9)
    reinitialize(module, 0)
    assert module.fc.weight.tolist() == [[1, 0], [0, 1]]
    assert module.fc.bias.abs().max() < 1  # from nn.Linear
    assert module.scale.factor.max() < 1


def test_an_initialiser_of_ones_own_is_seeded_and_draws_what_redraw_names():
    def initialize(module: nn.Module) -> None:
        nn.init.normal_(module[1].factor)

    modules = [nn.Sequential(nn.Linear(2, 2), Scale()) for _ in range(2)]
    biases = [module[0].bias.clone() for module in modules]
    for module in modules:
        reinitialize(module, 5, initialize, redraw=["1.*"])
    assert torch.equal(modules[0][1].factor, modules[1][1].factor)
    assert not torch.equal(modules[0][1].factor, torch.full((2,), 3.0))
    assert all(torch.equal(module[0].bias, bias) for module, bias in zip(modules, biases, strict=True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_the_precision_of_the_module_stays(dtype):
    module = mlp().to(dtype)
    reinitialize(module, 0)
    assert {param.dtype for param in module.parameters()} == {dtype}


@pytest.mark.gpu
def test_the_random_state_of_the_gpu_is_untouched():
    module, state = mlp().cuda(), torch.cuda.get_rng_state()
    reinitialize(module, 3)
    assert torch.equal(torch.cuda.get_rng_state(), state)


def test_a_snapshot_is_a_copy_of_parameters_and_buffers_and_is_restored_in_place():
    module = convolutional()
    taken, params = snapshot(module), list(module.parameters())
    assert taken.keys() == module.state_dict().keys()
    assert not any(value.requires_grad for value in taken.values())
    with torch.no_grad():
        for value in module.state_dict().values():
            value.add_(1)
    assert all(not torch.equal(taken[name], value) for name, value in module.state_dict().items())
    restore(module, taken)
    assert all(left is right for left, right in zip(module.parameters(), params, strict=True))
    assert all(torch.equal(taken[name], value) for name, value in module.state_dict().items())
