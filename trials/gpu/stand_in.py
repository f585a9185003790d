"""A stand-in for a GPU on the CPU: a device that computes what the CPU does, and is as far from the host as a GPU.

Its tensors hold the memory of CPU tensors, but belong to another device: an operation on tensors of both raises, as
with CUDA; NumPy cannot read them; and what would make the host wait for a GPU (reading a number, `nonzero`, indexing
with booleans, copying between host and device unless `non_blocking`) is noted with its line. So code that has never
seen a GPU can be checked without one. What it cannot show is arithmetic of another order, streams, or time.

    with StandIn() as device:
        module = ...; move(module, DEVICE)
        ...
        device.waits

A process that has used it keeps a device type more, so use it in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from trials.gpu.places import Wait, find_place

# Private: torch's only way to have a device without C++. `tests/trials/test_gpu.py` notices a change of it, and of
# `return_and_correct_aliasing`, `_make_subclass` and `_swap_tensor_impl`.
_setup_privateuseone_for_python_backend("stand_in")
DEVICE = torch.device("stand_in", 0)
"""The stand-in."""

_aten: Any = torch.ops.aten
_WAITS = frozenset((
    _aten._local_scalar_dense.default, _aten.is_nonzero.default, _aten.equal.default, _aten.nonzero.default,
    _aten.masked_select.default, _aten._unique2.default, _aten.unique_consecutive.default, _aten.bincount.default,
    _aten._coalesce.default, _aten.repeat_interleave.Tensor,
))  # fmt: skip
"""Operations whose result, or its size, the host waits for."""
_INDEXING = frozenset((_aten.index.Tensor, _aten.index_put_.default, _aten.index_put.default))
_TAKES_HOST = frozenset((
    *_INDEXING, _aten._pack_padded_sequence.default, _aten._pad_packed_sequence.default,
    _aten._pack_padded_sequence_backward.default, _aten.lstm.data, _aten.gru.data, _aten.rnn_tanh.data,
))  # fmt: skip
"""Operations that take tensors of the host beside those of the device."""


class StandIn:
    """Let tensors be made on, and moved to, the stand-in, and note what waits for it.

    Attributes:
        waits: what made the host wait so far.
        copies: the number of bytes of each copy from the host to the device so far.
    """

    def __init__(self) -> None:
        self.waits: list[Wait] = []
        self.copies: list[int] = []
        self._modes = ExitStack()

    def __enter__(self) -> StandIn:
        _IN_USE.append(self)
        self._modes.enter_context(_Factories())
        self._modes.enter_context(_Dispatch(self))
        return self

    def __exit__(self, *exception: object) -> None:
        self._modes.close()
        _IN_USE.remove(self)

    def note(self, what: str) -> None:
        """Note a wait at the line that is running."""
        self.waits.append(Wait(what, find_place()))

    def run(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an operation on tensors of the host, the stand-in, or both."""
        if operation is torch.ops.prim.device.default:
            return DEVICE
        if operation is _aten._to_copy.default or operation is _aten.copy_.default:
            return self._copy(operation, args, kwargs)
        tensors = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, Tensor)]
        there = [one for one in tensors if isinstance(one, Elsewhere)]
        wanted = kwargs.get("device")
        is_there = bool(there) if wanted is None else torch.device(wanted).type == DEVICE.type
        if wanted is not None:
            kwargs = {**kwargs, "device": torch.device("cpu")}
        # A tensor without dimensions is a number, which either device takes.
        mixed = there and any(one.dim() and not isinstance(one, Elsewhere) for one in tensors)
        if mixed and operation not in _TAKES_HOST:
            raise RuntimeError(
                f"{operation}: expected all tensors to be on the same device, but found two: cpu and {DEVICE}"
            )
        if there and (operation in _WAITS or (operation in _INDEXING and _has_booleans(args[1]))):
            self.note(str(operation))
        found = operation(*tree_map(_inside, args), **tree_map(_inside, kwargs))
        if operation is _aten._pack_padded_sequence.default:
            return (_outside(found[0]), found[1]) if there else found  # sizes stay on the host
        if not is_there:
            return found
        found = tree_map(_outside, found)
        return return_and_correct_aliasing(operation, args, kwargs, found) if there else found

    def _copy(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Copy between the two."""
        if operation is _aten.copy_.default:
            target, source = args[:2]
            self._note_copy(
                source, isinstance(target, Elsewhere), kwargs.get("non_blocking", len(args) > 2 and args[2])
            )
            operation(_inside(target), _inside(source))
            return target
        (source,) = args
        wanted = kwargs.get("device")
        is_there = isinstance(source, Elsewhere) if wanted is None else torch.device(wanted).type == DEVICE.type
        self._note_copy(source, is_there, kwargs.get("non_blocking", False))
        kwargs = {key: value for key, value in kwargs.items() if key not in ("device", "non_blocking")}
        found = operation(_inside(source), **kwargs)
        return _outside(found) if is_there else found

    def _note_copy(self, source: Tensor, is_there: bool, non_blocking: bool) -> None:
        if isinstance(source, Elsewhere) and not is_there:
            self.note("copy to the host")
        elif is_there and not isinstance(source, Elsewhere):
            self.copies.append(source.nbytes)
            if not non_blocking:
                self.note("copy to the device")


_IN_USE: list[StandIn] = []


def current_stand_in() -> StandIn:
    """Return the stand-in that is in use."""
    return _IN_USE[-1]


class Elsewhere(Tensor):
    """A tensor of the stand-in; `inside` is the tensor of the CPU whose memory it has."""

    inside: Tensor

    @staticmethod
    def __new__(cls, inside: Tensor, requires_grad: bool = False) -> Elsewhere:
        """Wrap a tensor of the CPU."""
        # Private, as in torch's FakeTensor: unlike other wrappers such a tensor has a storage.
        made: Elsewhere = Tensor._make_subclass(  # pyright: ignore[reportAttributeAccessIssue]
            cls, inside, requires_grad, dispatch_device=True, device_for_backend_keys=DEVICE
        )
        made.inside = inside
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl  # pyright: ignore

    @classmethod
    def __torch_dispatch__(cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation outside of the mode, such as in autograd's threads."""
        raise RuntimeError(f"{operation}: the stand-in is not in use; use `with StandIn():`")

    def tolist(self) -> Any:
        """Return the numbers as lists, which waits."""
        return self.cpu().tolist()

    def numpy(self, *, force: bool = False) -> Any:
        """Raise, as for CUDA."""
        raise TypeError(f"can't convert {DEVICE} device type tensor to numpy. Use Tensor.cpu() to copy it first.")

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            copied = Elsewhere(self.inside.detach().clone())
            is_param = isinstance(self, nn.Parameter)
            memo[id(self)] = nn.Parameter(copied, self.requires_grad) if is_param else copied
            memo[id(self)].requires_grad_(self.requires_grad)
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.inside.detach().clone().__reduce_ex__(protocol)  # a file is read back to the CPU

    def __repr__(self) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        return f"Elsewhere({self.inside!r})"


class _Dispatch(TorchDispatchMode):
    def __init__(self, device: StandIn) -> None:
        super().__init__()
        self._device = device

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self._device.run(func, args, kwargs or {})


class _Factories(TorchFunctionMode):
    """Make tensors from Python's numbers on the CPU, then copy them: torch would do so in C++, unseen."""

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        device = kwargs.get("device")
        if func in (torch.tensor, torch.as_tensor) and device is not None and torch.device(device).type == DEVICE.type:
            return func(*args, **{**kwargs, "device": "cpu"}).to(DEVICE)
        return func(*args, **kwargs)


def move(module: nn.Module, device: torch.device) -> None:
    """Move a module as CUDA modules are moved: its parameters stay the same objects."""
    from torchmetrics import Metric

    for part in module.modules():
        if isinstance(part, Metric):
            part._apply(lambda tensor: tensor.to(device))
    for tensor in dict.fromkeys((*module.parameters(), *module.buffers())):
        if tensor.device != device:
            tensor.grad = None
            moved = tensor.detach().to(device)
            _swap(tensor, nn.Parameter(moved, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else moved)


def _swap(one: Tensor, other: Tensor) -> None:
    """Swap the contents of two tensors, also if something refers to them weakly, which `swap_tensors` refuses."""
    torch._C._swap_tensor_impl(one, other)  # pyright: ignore[reportAttributeAccessIssue]
    one.__class__, other.__class__ = other.__class__, one.__class__
    attributes = dict(vars(one)), dict(vars(other))
    for tensor, own in zip((other, one), attributes, strict=True):
        vars(tensor).clear()
        vars(tensor).update(own)


def _has_booleans(indices: Any) -> bool:
    return any(one is not None and one.dtype in (torch.bool, torch.uint8) for one in indices)


def _inside(value: Any) -> Any:
    return value.inside if isinstance(value, Elsewhere) else value


def _outside(value: Any) -> Any:
    return Elsewhere(value) if isinstance(value, Tensor) and not isinstance(value, Elsewhere) else value
