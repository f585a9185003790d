"""Write an encoder as an ONNX graph, with torch's exporter, with and without its weights.

Documentation: https://docs.pytorch.org/docs/stable/onnx_export.html
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from lt_lightning import __version__
from lt_lightning.errors import SettingError
from lt_lightning.export.encoders import CLOSE, Trial
from lt_lightning.storage.atomic import write_whole, writing_to
from lt_lightning.storage.sealed import quoted
from lt_lightning.tickets.encoder.file import PackedEncoder
from lt_lightning.tickets.encoder.network import build_torch, by_onnxruntime, weights_of
from lt_lightning.tickets.onnx import LARGEST

if TYPE_CHECKING:
    import onnx

_PREFIX = "network."
_NEEDED = ("onnx", "onnxscript")


class _Answers(nn.Module):
    """The outputs of the graph: logits, and probabilities by the ticket's temperature."""

    def __init__(self, network: nn.Module, temperature: float) -> None:
        super().__init__()
        self.network = network
        self.temperature = temperature

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.network(input_ids, attention_mask).logits
        return logits, (logits / self.temperature).softmax(dim=-1)


def missing_libraries() -> list[str]:
    """Return the libraries that making a graph needs, and that are not installed."""
    return [name for name in _NEEDED if find_spec(name) is None]


def check_libraries(packed: PackedEncoder) -> None:
    """Raise a SettingError if `--onnx` lacks a library, or the network is too large for a file."""
    missing = missing_libraries()
    if missing:
        raise SettingError(f'--onnx: {missing[0]} is not installed; pip install "lt-lightning[onnx]"')
    size = sum(4 * prod(one.shape) for one in packed.parameters.values())
    if size > LARGEST:
        raise SettingError(
            f"--onnx: the network has {size / 2**30:.1f} GiB of weights, and an ONNX file holds less than 2; use "
            "--state-dict"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide what torch and onnxscript remark on their own code and on packages that are not installed."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def make_graph(packed: PackedEncoder) -> onnx.ModelProto:
    """Return the ONNX graph of an encoder's ticket, with its weights under their own names.

    Its inputs are `input_ids` and `attention_mask`, int64 `(batch, length)`, as those of transformers; its outputs
    `logits` and `probabilities`, float32 `(batch, classes)`.

    Raises:
        SettingError: torch cannot convert the network.
    """
    network = _Answers(build_torch(packed), packed.about.get("temperature") or 1.0).eval()
    ids = torch.full((2, 7), (packed.about["encoder"]["padding"] + 1) % 4, dtype=torch.int64)
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    try:
        with _quiet(), torch.inference_mode(False):
            program = torch.onnx.export(
                network,
                (ids, mask),
                dynamo=True,
                optimize=False,  # it would replace weights by others that are computed from them
                verbose=False,
                input_names=["input_ids", "attention_mask"],
                output_names=["logits", "probabilities"],
                dynamic_shapes={"input_ids": free, "attention_mask": free},
            )
        assert program is not None
        model: onnx.ModelProto = program.model_proto
    except Exception as error:  # any type, by the network
        kind = packed.about["encoder"]["config"]["model_type"]
        raise SettingError(f"--onnx: torch cannot convert {kind} to ONNX ({quoted(error)}); leave it out") from error
    _clean(model)
    return model


def _clean(model: onnx.ModelProto) -> None:
    """Remove torch's notes, which hold paths of this machine, and give parameters their own names."""
    graph = model.graph
    for entry in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        entry.ClearField("doc_string")
        del entry.metadata_props[:]
    del graph.value_info[:], graph.metadata_props[:], model.metadata_props[:]
    graph.ClearField("doc_string")
    for one in graph.initializer:
        one.name = one.name.removeprefix(_PREFIX)
    for node in graph.node:
        node.input[:] = [name.removeprefix(_PREFIX) for name in node.input]
    model.producer_name, model.producer_version = "lt-lightning", __version__


def without_weights(model: onnx.ModelProto, names: Iterable[str]) -> bytes:
    """Return a graph in which the weights of these names are external data without a file."""
    import onnx

    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    wanted = {*names}
    for one in bare.graph.initializer:
        if one.name in wanted:
            size = len(one.raw_data)
            one.ClearField("raw_data")
            one.data_location = onnx.TensorProto.EXTERNAL
            for key, value in (("location", "weights"), ("offset", "0"), ("length", str(size))):
                entry = one.external_data.add()
                entry.key, entry.value = key, value
    return bare.SerializeToString(deterministic=True)


def packable_graph(packed: PackedEncoder, model: onnx.ModelProto, trial: Trial) -> bytes:
    """Return the graph for a packed ticket; empty if onnxruntime does not give the network's logits by it."""
    graph = without_weights(model, packed.parameters)
    if find_spec("onnxruntime") is None:
        return graph
    try:
        answer = by_onnxruntime(graph, weights_of(packed))
        return graph if trial.difference(answer) <= CLOSE else b""
    except SettingError:
        return b""


def write_encoder_onnx(packed: PackedEncoder, model: onnx.ModelProto, trial: Trial, path: Path) -> float | None:
    """Write the graph with its weights atomically, and check it.

    Its metadata holds, as JSON, what a program needs to turn texts into ids and classes into names: `class_names`,
    `splitter`, `max_length`, `padding`, `temperature`, and `run`, `round`, `sparsity`, `test_acc`.

    Returns:
        The largest difference between onnxruntime's and the network's logits on random texts, as a share of the largest
        logit if that exceeds 1; None if onnxruntime is not installed.

    Raises:
        SettingError: the two differ by more than `CLOSE`.
        WriteError: the file cannot be written.
    """
    import onnx

    about = packed.about
    keys = ("class_names", "splitter", "max_length", "temperature", "run", "round", "sparsity", "test_acc")
    metadata = {key: about.get(key) for key in keys} | {"padding": about["encoder"]["padding"]}
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in metadata.items()})
    onnx.checker.check_model(model)
    content = model.SerializeToString(deterministic=True)
    difference = None
    if find_spec("onnxruntime") is not None:
        import onnxruntime

        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        difference = trial.difference(
            lambda ids, mask: np.asarray(session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0])
        )
        if not difference <= CLOSE:
            raise SettingError(
                f"--onnx: onnxruntime's logits are {difference:.1e} off the network's; leave it out, or use "
                "--state-dict"
            )
    with writing_to(path.parent):
        write_whole(path, content)
    return difference
