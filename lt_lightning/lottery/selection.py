"""Select the prunable parameters of a module."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from lt_lightning.lottery.settings import LotteryError


def prunable_parameters(
    module: nn.Module, include: Sequence[str] = ("*",), exclude: Sequence[str] = ()
) -> dict[str, nn.Parameter]:
    """Return the trainable parameters of `module` that match a pattern of `include` and none of `exclude`.

    A parameter that several parts share has several names: a pattern that matches one of them matches the parameter.

    Args:
        module: any torch module.
        include: fnmatch patterns over the names that `module.named_parameters(remove_duplicate=False)` gives.
        exclude: likewise.

    Returns:
        Parameter name to parameter, in the module's order; shared parameters once, under their first name.

    Raises:
        LotteryError: if a pattern matches no parameter, nothing is left, or a parameter has no shape yet.

    Examples:
        >>> list(prunable_parameters(nn.Linear(2, 3), exclude=["bias"]))
        ['weight']
    """
    included = matching_parameters(module, "include", include)
    excluded = matching_parameters(module, "exclude", exclude)
    chosen = {name: param for name, param in included.items() if name not in excluded}
    if not chosen:
        raise LotteryError(f"include {list(include)}, exclude {list(exclude)}: no parameter is left to prune")
    for name, param in module.named_parameters():
        if is_lazy(param):
            raise LotteryError(
                f"the lazy parameter {name!r} has no shape yet; run a batch through the module before the first fit"
            )
    return chosen


def matching_parameters(module: nn.Module, key: str, patterns: Sequence[str]) -> dict[str, nn.Parameter]:
    """Return the trainable parameters of `module` of which a name matches one of the fnmatch patterns.

    A shared parameter has several names. Errors name the setting `key`.

    Raises:
        LotteryError: if a pattern matches no parameter.
    """
    names: dict[nn.Parameter, list[str]] = {}
    frozen = []
    for name, param in module.named_parameters(remove_duplicate=False):
        if param.requires_grad:
            names.setdefault(param, []).append(name)
        else:
            frozen.append(name)
    everyone = [name for aliases in names.values() for name in aliases]
    for pattern in patterns:
        if any(fnmatchcase(name, pattern) for name in everyone):
            continue
        if any(fnmatchcase(name, pattern) for name in frozen):
            raise LotteryError(
                f"{key}: the pattern {pattern!r} matches frozen parameters alone; let some train as the fit starts "
                "(requires_grad=True), or add others"
            )
        known = ", ".join(everyone) or "none"
        raise LotteryError(f"{key}: the pattern {pattern!r} matches no parameter; there are: {known}")
    return {
        aliases[0]: param
        for param, aliases in names.items()
        if any(fnmatchcase(name, pattern) for name in aliases for pattern in patterns)
    }


def require_own_memory(chosen: Mapping[str, Tensor], everyone: Iterable[tuple[str, Tensor]]) -> None:
    """Raise LotteryError if prunable parameters share memory with one of all, as the mask would count it twice."""
    by_storage: dict[tuple[torch.device, int], dict[Tensor, str]] = {}
    for name, param in (*chosen.items(), *everyone):
        if not is_lazy(param) and param.numel() and param.device.type != "meta":
            place = (param.device, param.untyped_storage().data_ptr())
            by_storage.setdefault(place, {}).setdefault(param, name)
    prunable = set(chosen.values())
    for sharing in by_storage.values():
        params = list(sharing)
        for index, one in enumerate(params):
            if one in prunable and _covers_itself(one):
                raise LotteryError(
                    f"include: entries of {sharing[one]!r} share memory, as after expand(); make it contiguous with "
                    "clone(), or leave it out with exclude"
                )
            for other in params[index + 1 :]:
                if (one in prunable or other in prunable) and _overlap(one, other):
                    raise LotteryError(
                        f"include: {sharing[one]!r} and {sharing[other]!r} share memory but are two parameters; tie "
                        "them by using one Parameter in both places, or leave both out with exclude"
                    )


@torch.no_grad()
def require_finite(tensors: Mapping[str, Tensor], what: str) -> None:
    """Raise LotteryError if a tensor is not finite; `what` begins the message."""
    for name, tensor in tensors.items():
        # A sum is finite if all are, or nearly; it takes a twentieth of the time.
        if not tensor.detach().sum().isfinite() and not tensor.detach().isfinite().all():
            raise LotteryError(
                f"{what} {name!r} are not finite, and cannot be ranked or trained; lower the learning rate, clip "
                "gradients, or prune less of this parameter"
            )


def all_finite(tensors: Iterable[Tensor]) -> Tensor:
    """Return whether all numbers of tensors are finite, as a boolean without dimensions on the device of the first.

    To read it, the host waits for the device once, not once for each tensor.
    """
    found = [(tensor.coalesce().values() if tensor.is_sparse else tensor).isfinite().all() for tensor in tensors]
    return torch.stack([one.to(found[0].device) for one in found]).all() if found else torch.tensor(True)


def _covers_itself(param: Tensor) -> bool:
    return any(stride == 0 and size > 1 for stride, size in zip(param.stride(), param.shape, strict=True))


def _overlap(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors of one storage have a byte in common."""
    (first, end), (other_first, other_end) = _span(one), _span(other)
    if end <= other_first or other_end <= first:
        return False
    # Their ranges overlap; slices may still interleave.
    taken = torch.zeros(max(end, other_end), dtype=torch.bool)
    taken[_bytes(one)] = True
    return bool(taken[_bytes(other)].any())


def _span(param: Tensor) -> tuple[int, int]:
    """Return the range of bytes of the storage that a tensor uses."""
    reach = sum(stride * (size - 1) for stride, size in zip(param.stride(), param.shape, strict=True))
    begin = int(param.storage_offset()) * param.element_size()
    return begin, begin + (reach + 1) * param.element_size()


def _bytes(param: Tensor) -> Tensor:
    """Return the bytes of the storage that a tensor uses."""
    entries = torch.tensor([int(param.storage_offset())])
    for stride, size in zip(param.stride(), param.shape, strict=True):
        entries = (entries[:, None] + stride * torch.arange(size)).reshape(-1)
    width = param.element_size()
    return (entries[:, None] * width + torch.arange(width)).reshape(-1)
