"""`optimizer.no_decay`: weight decay leaves alone what it names, whatever the optimizer and the mask."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn

from lt_lightning.config.schema import Config
from lt_lightning.errors import SettingError
from lt_lightning.kernels.sparse_adam import LivingAdam
from lt_lightning.lottery import Freezer, Mask
from lt_lightning.models import build_learner
from lt_lightning.models.build import build_optimizer, undecayed_parameters


class Scaled(nn.Module):
    """A layer with a scale and an offset, as every layer of an encoder has them."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.LayerNorm = nn.Linear(5, 4), nn.LayerNorm(4)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.LayerNorm(self.fc(inputs))


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
@pytest.mark.parametrize("kernel", ["fast", "reference"])
@pytest.mark.parametrize("density", [1.0, 0.2])
def test_biases_and_norms_do_not_decay_and_pruned_entries_stay_zero(
    configure: Callable[..., Config], name: str, kernel: str, density: float
) -> None:
    more = () if name == "sgd" else (f"optimizer.kernel={kernel}",)
    settings = configure(
        f"optimizer={name}", "optimizer.lr=0.05", "optimizer.weight_decay=0.3",
        "optimizer.no_decay=['*.bias','*[Nn]orm.weight']", *more,
    ).optimizer  # fmt: skip
    ours, theirs = Scaled().double(), Scaled().double()
    alive = torch.rand(4, 5, generator=torch.Generator().manual_seed(1)) < density
    with torch.no_grad():
        ours.fc.weight.mul_(alive)
    theirs.load_state_dict(ours.state_dict())
    optimizer = build_optimizer(settings, ours.parameters(), undecayed_parameters(ours, settings))
    assert isinstance(optimizer, LivingAdam) is (kernel == "fast" and name != "sgd")
    plain = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": partial(torch.optim.SGD, momentum=0.9)}[name]
    decays, others = [theirs.fc.weight], [theirs.fc.bias, *theirs.LayerNorm.parameters()]
    references = [plain(decays, lr=0.05, weight_decay=0.3), plain(others, lr=0.05, weight_decay=0.0)]
    freezer = Freezer({"fc.weight": ours.fc.weight}, Mask({"fc.weight": alive}))
    handles = freezer.watch([optimizer])
    for seed in range(4):
        inputs = torch.randn(5, 5, generator=torch.Generator().manual_seed(seed)).double()
        for network, steps in ((ours, [optimizer]), (theirs, references)):
            for one in steps:
                one.zero_grad()
            network(inputs)[:, 0].square().sum().backward()
            assert network.fc.weight.grad is not None
            network.fc.weight.grad.mul_(alive)
            for one in steps:
                one.step()
    assert len(handles)
    for name, param in ours.named_parameters():
        torch.testing.assert_close(param, theirs.get_parameter(name), rtol=0, atol=1e-12)
    assert not ours.fc.weight[~alive].any()


def test_without_patterns_all_parameters_are_one_group(configure: Callable[..., Config]) -> None:
    settings = configure("optimizer=adamw").optimizer
    network = Scaled()
    assert undecayed_parameters(network, settings) == frozenset()
    assert len(build_optimizer(settings, network.parameters()).param_groups) == 1


def test_patterns_of_what_does_not_decay_reach_the_optimizer_of_a_fit(configure: Callable[..., Config]) -> None:
    config = configure("optimizer=adamw", "optimizer.no_decay=['*.bias']", "embedding.dim=10")
    learner = build_learner(config.model, config.embedding, config.optimizer, words=30, classes=4)
    optimizer = learner.configure_optimizers()
    assert isinstance(optimizer, torch.optim.Optimizer)
    names = {id(param): name for name, param in learner.network.named_parameters()}
    groups = {group["weight_decay"]: sorted(names[id(one)] for one in group["params"])
              for group in optimizer.param_groups}  # fmt: skip
    assert groups == {
        0.0: sorted(name for name in names.values() if name.endswith(".bias")),
        0.01: sorted(name for name in names.values() if not name.endswith(".bias")),
    }


def test_a_pattern_of_what_does_not_decay_that_matches_nothing_names_what_there_is(configure) -> None:
    config = configure("optimizer=adamw", "optimizer.no_decay=['*.bias','*LayerNorm*']", "embedding.dim=10")
    with pytest.raises(SettingError, match=r"^optimizer\.no_decay: .*'\*LayerNorm\*' matches no.* fc\.weight") as error:
        build_learner(config.model, config.embedding, config.optimizer, words=30, classes=4)
    assert "\n" not in str(error.value)
