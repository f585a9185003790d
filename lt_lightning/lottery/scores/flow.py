"""Compute synaptic flow: the share of each weight in the output of a network of absolute weights."""

from __future__ import annotations

import math
import weakref
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

_REFUSED_FUNCTIONS = frozenset((
    "softmax", "log_softmax", "gumbel_softmax", "softmin", "logsumexp", "tanh", "sigmoid", "expit", "logit",
    "logsigmoid", "log_sigmoid", "gelu", "silu", "mish", "elu", "celu", "selu", "glu", "softplus", "softsign",
    "hardtanh", "hardsigmoid", "hardswish", "relu6", "tanhshrink", "softshrink", "hardshrink", "exp", "exp2",
    "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "erf", "layer_norm", "group_norm", "rms_norm",
    "instance_norm", "local_response_norm", "normalize", "cosine_similarity", "scaled_dot_product_attention",
    "sign", "sgn", "floor", "ceil", "round", "trunc", "heaviside", "multi_head_attention_forward",
    "lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell", "rnn_tanh_cell",
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
    if module not in _MEASURED:
        _require_scaling(module, state, example)
        _MEASURED.add(module)
    wanted = {name: copies[id(p)].requires_grad_() for name, p in parameters.items() if id(p) in copies}
    total = _total(_Flow(), module, state, _arguments(example))
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


def _total(flow: _Flow, module: nn.Module, state: dict[str, Tensor], arguments: tuple[Any, Any]) -> Tensor:
    """Return the sum of the outputs."""
    with flow:
        try:
            output = torch.func.functional_call(module, state, *arguments)
        except LotteryError:
            raise
        except (TypeError, ValueError, IndexError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise LotteryError(
                f"example: {type(module).__name__} cannot be called with it ({reason[:160]}); give the arguments of "
                "its forward, as a tensor or a tuple"
            ) from error
    return sum((one.sum() for one in _outputs(output)), torch.zeros((), dtype=torch.float64))


_MEASURED: weakref.WeakSet[nn.Module] = weakref.WeakSet()
"""The modules whose outputs were found to scale with their inputs."""
_SCALES = (2.0**-40, 2.0**-30, 2.0**-20, 2.0**-10, 1.0, 2.0**40, 2.0**41)
_NEGLIGIBLE = 1e-9
"""The share of an output below which the input counts for nothing beside biases."""


def _require_scaling(module: nn.Module, state: dict[str, Tensor], example: Any) -> None:
    """Raise LotteryError unless the output is proportional to large inputs, up to biases.

    Squares, clamps and the like may be written without any of the functions known by name. The slope of the output in
    the size of the input is computed by autograd, so that biases do not hide it. If nothing passes through, as in a
    network of zeros, the output must not depend on the input at all.
    """
    flow = _Flow(sums={})
    with torch.no_grad():
        ones = _arguments(example)
        _total(flow, module, state, ones)
    has_words = bool(flow.sums)  # then floating inputs are weights or masks

    def measure(scale: float) -> tuple[float, float]:
        """Return the output, and its slope times the scale as a share of it."""
        flow.scale = torch.tensor(scale, dtype=torch.float64, requires_grad=True)
        with torch.enable_grad():
            total = _total(flow, module, state, ones if has_words else _arguments(example, flow.scale))
        slope = torch.autograd.grad(total, flow.scale, allow_unused=True)[0] if total.requires_grad else None
        value = float(total.detach())
        return value, 0.0 if slope is None or not value else abs(float(slope) * scale / value)

    try:
        *before, (one, at_one), (large, at_large), (double, at_double) = map(measure, _SCALES)
        flow.scale = torch.zeros((), dtype=torch.float64)
        with torch.no_grad():
            zero = float(_total(flow, module, state, ones if has_words else _arguments(example, flow.scale)))
    except (LotteryError, AssertionError) as error:
        if isinstance(error, LotteryError) and error.args[0].startswith("criterion"):
            raise
        return  # the network does not take inputs of this size
    if not math.isfinite(one) or (one > _HUGE and not math.isfinite(double)):
        return  # the scores will not be finite: another error
    if not math.isfinite(double):
        scales = False
    elif at_large > _NEGLIGIBLE:
        scales = math.isclose(at_double * double, 2 * at_large * large, rel_tol=1e-6)
    else:
        scales = one == zero and max(at_one, *(share for _, share in before)) <= _NEGLIGIBLE
    if not scales:
        _refuse("operations that are no such layer")


_HUGE = 1e250
"""An output that overflows with inputs of `_SCALES`."""


def _refuse(culprit: str) -> NoReturn:
    raise LotteryError(
        f"criterion: synflow needs linear layers, convolutions, ReLU and pooling alone, but the network has {culprit}, "
        "whose output does not scale with its input; use another criterion, such as snip"
    )


class _Flow(TorchFunctionMode):
    """Let every position of an embedding receive the sum of all words, and refuse functions that do not scale.

    Attributes:
        scale: a factor of these sums.
        sums: the sums by the weight's address, if they are to be kept.
    """

    def __init__(self, sums: dict[int, Tensor] | None = None) -> None:
        super().__init__()
        self.scale: Tensor | float = 1.0
        self.sums = sums

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
        if self.sums is None:
            return weight.sum(0)
        if id(weight) not in self.sums:
            self.sums[id(weight)] = weight.sum(0)
        return self.sums[id(weight)] * self.scale


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


def _arguments(example: Any, scale: Tensor | float = 1.0) -> tuple[tuple[Any, ...], dict[str, Any]]:
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
        torch.ones_like(one, dtype=torch.float64) * scale
        if isinstance(one, Tensor) and one.is_floating_point()
        else one
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
