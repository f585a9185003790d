"""Pruning criteria: functions that score entries; the lowest scores are pruned first.

To add one, write a function and list it in `CRITERIA`, or pass your own function or its dotted path. A criterion
returns a tensor of real numbers per parameter, of its shape, and asks for its inputs by name, in any combination:

- `parameters`: the prunable parameters by name. A first argument of another name receives them too.
- `mask`: the current `Mask`.
- `generator`: a CPU `torch.Generator` seeded for the round.
- `module`: the network, in evaluation mode.
- `losses`: a `lt_lightning.lottery.scores.losses.Losses`: iterate over it for functions that each compute the mean
  loss of a batch of training data and return it with the batch's number of rows.
- `gradients`: the gradient of the mean loss for each parameter, computed from `losses`.
- `example`: the positional arguments of one call of the network.
- `initial`: the first weights of the lottery by name.
- `movement`: the sum of weight times negative gradient over the steps of the round, by name.

Other arguments are options and need defaults. The weights are those that the last round left, before they rewind; while
a criterion that asks for `module`, `losses`, `gradients` or `example` runs, pruned entries are zero.

    def large_first(parameters, generator):
        return {name: -p.detach().abs() for name, p in parameters.items()}

In the formulas w are the weights, g is the gradient of the mean loss, H its Hessian, ⊙ the product of entries.
Importing this file does not load torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from lt_lightning.lottery.mask import Mask
    from lt_lightning.lottery.scores.losses import Losses

Criterion = Callable[..., "Mapping[str, Tensor]"]
Tensors = Mapping[str, "Tensor"]


def magnitude(parameters: Tensors, generator: Generator) -> dict[str, Tensor]:
    """Return |w|: small weights go first (Han et al. 2015, https://arxiv.org/abs/1506.02626)."""
    return {name: parameter.detach().abs() for name, parameter in parameters.items()}


def magnitude_increase(parameters: Tensors, initial: Tensors) -> dict[str, Tensor]:
    """Return |w| − |w₀|, w₀ the first weights: entries that shrank go first.

    See: Zhou et al. 2019, https://arxiv.org/abs/1905.01067.
    """
    return {name: p.detach().abs() - initial[name].to(p.device).abs() for name, p in parameters.items()}


def movement(parameters: Tensors, movement: Tensors) -> dict[str, Tensor]:
    """Return −Σ g ⊙ w over the steps of the round: entries that moved towards zero go first.

    See: Sanh et al. 2020, https://arxiv.org/abs/2005.07683.
    """
    return {name: movement[name].to(parameter.device) for name, parameter in parameters.items()}


def snip(parameters: Tensors, gradients: Tensors) -> dict[str, Tensor]:
    """Return |g ⊙ w|: entries that change the loss least go first (Lee et al. 2019, https://arxiv.org/abs/1810.02340).

    The gradients of the batches are averaged before the absolute value is taken.
    """
    return {name: (gradients[name] * parameter.detach()).abs() for name, parameter in parameters.items()}


def taylor(parameters: Tensors, gradients: Tensors) -> dict[str, Tensor]:
    """Return (g ⊙ w)², the square of `snip` (Molchanov et al. 2019, https://arxiv.org/abs/1906.10771)."""
    return {name: (gradients[name] * p.detach()).abs().square() for name, p in parameters.items()}


def grasp(parameters: Tensors, mask: Mask, losses: Losses, temperature: float = 200.0) -> dict[str, Tensor]:
    """Return w ⊙ Hg: entries whose removal keeps most of the gradient's norm go first.

    Logits are divided by `temperature` before one of torch's functions computes the loss from them, such as
    `cross_entropy` or `log_softmax`; other losses are taken as they are. H and g are those of the living entries.
    Scores are not normalized. It takes two passes over the losses, the second with second derivatives.

    See: Wang et al. 2020, https://arxiv.org/abs/2002.07376.
    """
    from lt_lightning.lottery.scores.gradients import hessian_gradient_product

    product = hessian_gradient_product(losses, parameters, mask, temperature)
    return {name: parameter.detach() * product[name] for name, parameter in parameters.items()}


def fisher(parameters: Tensors, losses: Losses, module: nn.Module) -> dict[str, Tensor]:
    """Return ½ F ⊙ w², F the mean over texts of the square of a text's own gradient.

    It needs one backward pass per text.

    See: LeCun et al. 1990, https://papers.nips.cc/paper/250-optimal-brain-damage; Theis et al. 2018,
    https://arxiv.org/abs/1801.05787.
    """
    from lt_lightning.lottery.scores.gradients import mean_squared_gradient
    from lt_lightning.lottery.scores.preserving import set_sparse

    set_sparse(module, True)  # a text has few of the words
    squares = mean_squared_gradient(losses, parameters)
    return {name: squares[name] * p.detach().abs().square() / 2 for name, p in parameters.items()}


def synflow(parameters: Tensors, mask: Mask, module: nn.Module, example: Any) -> dict[str, Tensor]:
    """Return (∂R/∂|w|) ⊙ |w| in float64, R = 1ᵀ ∏|W| 1 the sum of the outputs for an input of ones.

    All parameters and buffers are replaced by their absolute values. An embedding receives all words at once, so that
    without biases the scores of each layer sum to R. It needs no data, but a network of linear layers, convolutions,
    ReLU and pooling; prune in many iterations.

    See: Tanaka et al. 2020, https://arxiv.org/abs/2006.05467.
    """
    from lt_lightning.lottery.scores.flow import synaptic_flow

    return synaptic_flow(parameters, mask, module, example)


def random(parameters: Tensors, generator: Generator) -> dict[str, Tensor]:
    """Return uniform scores in [0, 1), the control for every other criterion.

    They are drawn on the CPU in float32, so they do not depend on the device or the precision.
    """
    from torch import float32

    return {
        name: parameter.detach().new_empty(parameter.shape, device="cpu", dtype=float32).uniform_(generator=generator)
        .to(parameter.device)
        for name, parameter in parameters.items()
    }  # fmt: skip


CRITERIA: Mapping[str, Criterion] = MappingProxyType({
    "magnitude": magnitude,
    "magnitude_increase": magnitude_increase,
    "movement": movement,
    "snip": snip,
    "grasp": grasp,
    "synflow": synflow,
    "taylor": taylor,
    "fisher": fisher,
    "random": random,
})  # fmt: skip
