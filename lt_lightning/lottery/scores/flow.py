"""Compute synaptic flow: the share of each weight in the output of a network of absolute weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lt_lightning.lottery.mask import Mask
from lt_lightning.lottery.settings import LotteryError

_REFUSED_LAYERS = (
    nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.LocalResponseNorm,
    nn.modules.instancenorm._InstanceNorm, nn.Softmax, nn.LogSoftmax, nn.Softmax2d, nn.AdaptiveLogSoftmaxWithLoss,
    nn.GELU, nn.SiLU, nn.Mish, nn.ELU, nn.CELU, nn.SELU, nn.Tanh, nn.Sigmoid, nn.LogSigmoid, nn.Softplus, nn.Hardtanh,
    nn.Hardsigmoid, nn.Hardswish, nn.Softsign, nn.Tanhshrink, nn.Softshrink, nn.Hardshrink, nn.GLU,
)  # fmt: skip
"""Layers whose output does not scale with their input. (Instance normalization has no public base class.)"""

_LARGE = 2.0**40
"""A factor of the input beside which biases do not count; a power of two, so that it costs no digits."""

_REFUSED_FUNCTIONS = frozenset((
    "softmax", "log_softmax", "gumbel_softmax", "softmin", "logsumexp", "tanh", "sigmoid", "expit", "logit",
    "logsigmoid", "log_sigmoid", "gelu", "silu", "mish", "elu", "celu", "selu", "glu", "softplus", "softsign",
    "hardtanh", "hardsigmoid", "hardswish", "relu6", "tanhshrink", "softshrink", "hardshrink", "exp", "exp2",
    "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "erf", "layer_norm", "group_norm", "rms_norm",
    "instance_norm", "local_response_norm", "normalize", "cosine_similarity", "scaled_dot_product_attention",
    "multi_head_attention_forward", "lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell", "rnn_tanh_cell",
    "rnn_relu_cell",
))  # fmt: skip
"""Names of functions whose output does not scale with their input."""


def synaptic_flow(parameters: Mapping[str, Tensor], mask: Mask, module: nn.Module, example: Any) -> dict[str, Tensor]:
    """Return (∂R/∂|w|) ⊙ |w| for parameters of `module`, which is not written; see `criteria.synflow`.

    Args:
        parameters: the parameters by name.
        mask: their living entries; others count as zero.
        module: the network, in evaluation mode.
        example: its argument, or a tuple of its positional arguments, or a mapping of its named ones. Tensors keep
            their first row; floating ones become ones, others (word ids, lengths) stay as they are.

    Raises:
        LotteryError: if the network has a layer whose output does not scale with its input, or does not take `example`.
    """
    require_homogeneous(module)
    alive = {id(parameters[name]): mask[name] for name in parameters}
    copies: dict[int, Tensor] = {}
    with torch.no_grad():
        state: dict[str, Tensor] = {}
        for name, value in module.named_parameters():
            # A Parameter again: `get_parameter`, for one, insists on it.
            copy = nn.Parameter(_absolute(value, alive.get(id(value))), requires_grad=False)
            copies[id(value)] = state[name] = copy
        for name, buffer in module.named_buffers():
            state[name] = _absolute(buffer, None)
    wanted = {name: copies[id(p)].requires_grad_() for name, p in parameters.items() if id(p) in copies}
    with torch.no_grad():
        _require_scaling(*(_total(module, state, example, scale) for scale in (1.0, _LARGE, 2 * _LARGE)))
    total = _total(module, state, example)
    if not wanted or not total.requires_grad:
        return {name: torch.zeros(p.shape, dtype=torch.float64, device=p.device) for name, p in parameters.items()}
    found = torch.autograd.grad(total, list(wanted.values()), allow_unused=True)
    flows = dict(zip(wanted, found, strict=True))
    return {
        name: torch.zeros(p.shape, dtype=torch.float64, device=p.device)
        if flows.get(name) is None
        else wanted[name].detach().mul_(flows[name])
        for name, p in parameters.items()
    }


def require_homogeneous(module: nn.Module) -> None:
    """Raise LotteryError if `module` has a layer whose output does not scale with its input."""
    for name, part in module.named_modules():
        if isinstance(part, _REFUSED_LAYERS):
            _refuse(f"{type(part).__name__} {name!r}" if name else type(part).__name__)


def _total(module: nn.Module, state: dict[str, Tensor], example: Any, scale: float = 1.0) -> Tensor:
    """Return the sum of the outputs for an input of ones, or of the sums of all words, times `scale`."""
    args, kwargs = _arguments(example, scale)
    with _Flow(scale):
        try:
            output = torch.func.functional_call(module, state, args, kwargs)
        except LotteryError:
            raise
        except (TypeError, ValueError, IndexError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise LotteryError(
                f"example: {type(module).__name__} cannot be called with it ({reason[:160]}); give the arguments of "
                "its forward, as a tensor or a tuple"
            ) from error
    return sum((one.sum() for one in _outputs(output)), torch.zeros((), dtype=torch.float64))


def _require_scaling(small: Tensor, large: Tensor, double: Tensor) -> None:
    """Raise LotteryError unless an output grows with its input, once biases no longer count.

    Squares, clamps and the like may be written without any of the functions known by name.

    Args:
        small: the output for an input of ones.
        large: that for a much larger input.
        double: that for twice the larger input.
    """
    grows = large.isfinite() and large != small  # else nothing reaches the output
    if grows and not torch.isclose(double, 2 * large, rtol=1e-3):
        _refuse("operations that are no such layer")


def _refuse(culprit: str) -> NoReturn:
    raise LotteryError(
        f"criterion: synflow needs linear layers, convolutions, ReLU and pooling alone, but the network has {culprit}, "
        "whose output does not scale with its input; use another criterion, such as snip"
    )


class _Flow(TorchFunctionMode):
    """Let every position of an embedding receive all words, times `scale`, and refuse functions that do not scale."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self._scale = scale

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call `func`."""
        named = dict(kwargs or {})
        name = getattr(func, "__name__", "").removeprefix("special_").rstrip("_")
        if name in _REFUSED_FUNCTIONS:
            _refuse(f"the function {name}")
        if func is F.embedding:
            ids, weight = _first_two(args, named)
            return self._all_words(weight).expand(*ids.shape, -1)
        if func is F.embedding_bag:
            ids, weight = _first_two(args, named)
            offsets = args[2] if len(args) > 2 else named.get("offsets")
            bags = len(ids) if offsets is None else len(offsets) - bool(named.get("include_last_offset"))
            return self._all_words(weight).expand(bags, -1)
        if func is F.dropout:  # of a network that drops units in evaluation, too
            named["training"], args = False, args[:2]
        return func(*args, **named)

    def _all_words(self, weight: Tensor) -> Tensor:
        return weight.sum(0) * self._scale


def _first_two(args: tuple[Any, ...], named: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    return (args[0] if args else named["input"]), (args[1] if len(args) > 1 else named["weight"])


def _absolute(value: Tensor, alive: Tensor | None) -> Tensor:
    """Return a copy of the absolute values in double precision; integers and booleans stay as they are."""
    if not value.is_floating_point() and not value.is_complex():
        return value.clone()
    absolute = value.detach().abs()
    if alive is not None:
        absolute.mul_(alive.to(value.device))  # of finite weights; a quarter of the time of `masked_fill_`
    return absolute.to(torch.float64, copy=True)


def _arguments(example: Any, scale: float) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return positional and named arguments of one row, of `scale` where they are floating."""
    if isinstance(example, Mapping):
        names, values = list(example), list(example.values())
    else:
        names, values = [], list(example) if isinstance(example, (tuple, list)) else [example]
    first = next((one for one in values if isinstance(one, Tensor)), None)
    if first is None:
        raise LotteryError("example: there is no tensor in it; give an input of the network, or all its arguments")
    rows = len(first) if first.dim() > 1 else 0
    cut = [
        one[:1] if isinstance(one, Tensor) and rows and one.dim() and len(one) == rows else one
        for one in values
    ]  # fmt: skip
    ones = [
        torch.full_like(one, scale, dtype=torch.float64) if isinstance(one, Tensor) and one.is_floating_point() else one
        for one in cut
    ]
    return ((), dict(zip(names, ones, strict=True))) if names else (tuple(ones), {})


def _outputs(output: Any) -> Iterable[Tensor]:
    """Yield the floating tensors in what a network returns."""
    if isinstance(output, Tensor):
        if output.is_floating_point():
            yield output
        return
    parts = output.values() if isinstance(output, Mapping) else output if isinstance(output, (tuple, list)) else ()
    for part in parts:
        yield from _outputs(part)
