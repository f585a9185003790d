"""Leave a module and the random state as they were after its network has been run."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from lt_lightning.lottery.mask import Mask


@contextmanager
def evaluating(module: nn.Module, others: Iterable[Tensor] = ()) -> Iterator[None]:
    """Run `module` in evaluation mode with gradients enabled, and restore all but its parameters, also after an error.

    Restored are buffers, the training flag of each part, `.grad` and `requires_grad` of its parameters and of `others`,
    and the random states of torch (CPU and CUDA), NumPy and Python. Gradients are None meanwhile.
    """
    flags = [(part, part.training) for part in module.modules()]
    sparse = [(part, part.sparse) for part in module.modules() if isinstance(part, (nn.Embedding, nn.EmbeddingBag))]
    # `named_buffers` leaves out those that are None.
    buffers = [(part, name, buffer) for part in module.modules() for name, buffer in part._buffers.items()]
    kept = {id(buffer): buffer.detach().clone() for _, _, buffer in buffers if buffer is not None and _is_plain(buffer)}
    leaves = [tensor for tensor in _distinct((*module.parameters(), *others)) if tensor.is_leaf]
    gradients = [(tensor, tensor.grad, tensor.requires_grad) for tensor in leaves]
    numpy = sys.modules.get("numpy")  # not imported here: `lottery` needs torch alone
    states = random.getstate(), numpy and numpy.random.get_state()  # torch's are restored by fork_rng
    cuda = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    # cuDNN cannot differentiate recurrent layers in evaluation mode.
    usable = not any(isinstance(part, nn.RNNBase) for part in module.modules())
    try:
        with (
            torch.random.fork_rng(devices=cuda),
            torch.backends.cudnn.flags(enabled=usable and torch.backends.cudnn.enabled),
            torch.inference_mode(False),
            torch.enable_grad(),
        ):
            for part, _ in flags:
                part.training = False  # not `eval()`, which some modules override to write weights
            for tensor, _, _ in gradients:
                tensor.grad = None
            yield
    finally:
        for part, flag in flags:
            part.training = flag
        for part, flag in sparse:
            part.sparse = flag
        for tensor, gradient, needed in gradients:
            tensor.grad = gradient
            tensor.requires_grad_(needed)
        for part, name, buffer in buffers:
            part._buffers[name] = buffer
            if buffer is not None and id(buffer) in kept:
                _write_back(buffer, kept[id(buffer)])
        random.setstate(states[0])
        if numpy is not None:
            numpy.random.set_state(states[1])


@contextmanager
def pruned(module: nn.Module, parameters: Mapping[str, Tensor], mask: Mask) -> Iterator[None]:
    """Set pruned entries to zero and let `parameters` need gradients; restore all parameters afterwards.

    Use it inside of `evaluating`, which restores `requires_grad`.
    """
    everyone = _distinct((*module.parameters(), *parameters.values()))
    before = [(tensor, tensor.detach().clone()) for tensor in everyone]
    try:
        for tensor in parameters.values():
            if tensor.is_leaf and (tensor.is_floating_point() or tensor.is_complex()):
                tensor.requires_grad_(True)
        mask.apply_(parameters)
        yield
    finally:
        for tensor, value in before:
            _write_back(tensor, value)


def set_sparse(module: nn.Module, sparse: bool) -> None:
    """Let embeddings return sparse gradients where torch can compute them, or dense ones."""
    for part in module.modules():
        if isinstance(part, (nn.Embedding, nn.EmbeddingBag)):
            # A weight that is computed from others, or has hooks, needs dense gradients.
            is_own = "weight" in part._parameters and not part.weight._backward_hooks
            part.sparse = sparse and is_own and not part.scale_grad_by_freq and part.max_norm is None


def _distinct(tensors: Iterable[Tensor]) -> list[Tensor]:
    return list({id(tensor): tensor for tensor in tensors if _is_plain(tensor)}.values())


def _is_plain(tensor: Tensor) -> bool:
    return not is_lazy(tensor) and tensor.layout == torch.strided


@torch.no_grad()
def _write_back(tensor: Tensor, value: Tensor) -> None:
    """Write a copy back if any bit differs; a write would spoil graphs that saved the tensor."""
    if not _same_bits(tensor.detach(), value):
        tensor.copy_(value)


def _same_bits(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors are equal bit for bit: NaN equals itself, and −0.0 is not 0.0."""
    if one.shape != other.shape or one.dtype != other.dtype or one.layout != torch.strided:
        return False
    width = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}.get(one.element_size(), torch.int64)
    return torch.equal(*(tensor.resolve_conj().contiguous().reshape(-1).view(width) for tensor in (one, other)))
