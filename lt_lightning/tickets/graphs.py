"""Build ONNX graphs of the networks with a ticket's dense weights.

Operators: https://onnx.ai/onnx/operators/. Import this file lazily: `onnx` is installed by the extra `[onnx]`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lt_lightning.data.tokenizer import PADDING

if TYPE_CHECKING:
    from lt_lightning.tickets.file import Packed

OPSET, IR_VERSION = 17, 8
"""Versions of 2022, so that older programs can read the file."""

# ONNX's order of the blocks of torch's matrices.
_BLOCKS: Mapping[str, tuple[int, ...]] = {
    "rnn": (0,),
    "gru": (1, 0, 2),  # r, z, n to z, r, n
    "gru_chung": (1, 0, 2),
    "lstm": (0, 3, 1, 2),  # i, f, g, o to i, o, f, g
}
_OPERATORS = {"rnn": "RNN", "gru": "GRU", "gru_chung": "GRU", "lstm": "LSTM"}


def build_graph(packed: Packed) -> onnx.GraphProto:
    """Return the graph of a ticket's network.

    Its inputs are `ids` `(batch, length)` int64, rows of `embedding.weight`, and `lengths` `(batch,)` int64; ids beyond
    a row's length are ignored. Its outputs are `logits`, `(batch, classes)`, or `(batch,)` with a single logit, and
    `probabilities`, `(batch, classes)`, by the ticket's temperature; both float32.
    """
    graph = _Graph()
    last = _max_over_time(graph, packed) if "convs.0.weight" in packed.parameters else _read_to_end(graph, packed)
    logits = graph.add("Gemm", last, graph.keep(packed, "fc.weight"), graph.keep(packed, "fc.bias"), transB=1)
    scaled = graph.add("Div", logits, graph.value(packed.about.get("temperature") or 1.0, np.float32))
    classes = len(packed.about["class_names"])
    if packed.parameters["fc.weight"].shape[0] == 1:
        other = graph.add("Sigmoid", graph.add("Neg", scaled))
        probabilities = graph.add("Concat", other, graph.add("Sigmoid", scaled), axis=1)
        logits, shape = graph.add("Squeeze", logits, graph.value([1])), ["batch"]
    else:
        probabilities, shape = graph.add("Softmax", scaled, axis=1), ["batch", classes]
    graph.add("Identity", logits, name="logits")
    graph.add("Identity", probabilities, name="probabilities")
    return helper.make_graph(
        graph.nodes,
        "ticket",
        [
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "length"]),
            helper.make_tensor_value_info("lengths", TensorProto.INT64, ["batch"]),
        ],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", classes]),
        ],
        graph.constants,
    )


class _Graph:
    """A graph under construction; values are identified by their names."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, operator: str, *inputs: str, name: str = "", outputs: int = 1, **attributes: Any) -> str:
        """Add an operator, and return the name of its last output; the outputs before it are not used."""
        name = name or f"{operator.lower()}_{len(self.nodes)}"
        names = [""] * (outputs - 1) + [name]
        self.nodes.append(helper.make_node(operator, list(inputs), names, name, **attributes))
        return name

    def value(self, value: Any, dtype: type = np.int64, name: str = "") -> str:
        """Add a constant, and return its name."""
        name = name or f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(np.asarray(value, dtype)), name))
        return name

    def keep(self, packed: Packed, name: str) -> str:
        """Add a dense parameter, and return its name."""
        return self.value(packed.parameters[name].dense(), np.float32, name)


def _vectors(graph: _Graph, packed: Packed, more: int) -> str:
    """Return the vectors `(batch, length + more, dim)` of all words, zero beyond each row's length."""
    # Padding, so that a text without words can be read, and a short one fills a window.
    ids = graph.add("Pad", "ids", graph.value([0, 0, 0, more]), graph.value(PADDING))
    vectors = graph.add("Gather", graph.keep(packed, "embedding.weight"), ids, axis=0)
    inside = _positions_below(graph, ids, 1, "lengths")
    counted = graph.add("Unsqueeze", graph.add("Cast", inside, to=TensorProto.FLOAT), graph.value([2]))
    return graph.add("Mul", vectors, counted)


def _positions_below(graph: _Graph, of: str, axis: int, ends: str) -> str:
    """Return booleans `(batch, positions)`: whether each position along an axis lies before a row's end."""
    count = graph.add("Gather", graph.add("Shape", of), graph.value(axis), axis=0)
    positions = graph.add("Range", graph.value(0), count, graph.value(1))
    return graph.add("Less", positions, graph.add("Unsqueeze", ends, graph.value([1])))


def _max_over_time(graph: _Graph, packed: Packed) -> str:
    """Return the features `(batch, features)` of a convolutional network."""
    count = sum(name.startswith("convs.") and name.endswith(".weight") for name in packed.parameters)
    convs = [f"convs.{number}.weight" for number in range(count)]
    widths = [packed.parameters[name].shape[2] for name in convs]
    vectors = graph.add("Transpose", _vectors(graph, packed, max(widths)), perm=[0, 2, 1])
    features = []
    for name, width in zip(convs, widths, strict=True):
        bias = graph.keep(packed, name.replace("weight", "bias"))
        windows = graph.add("Conv", vectors, graph.keep(packed, name), bias, kernel_shape=[width])
        # Windows that end within the text, and a short text's first window.
        ends = graph.add("Max", graph.add("Sub", "lengths", graph.value(width - 1)), graph.value(1))
        inside = graph.add("Unsqueeze", _positions_below(graph, windows, 2, ends), graph.value([1]))
        # Zero for all others: ReLU sets negative values to zero anyway.
        positive = graph.add("Where", inside, graph.add("Relu", windows), graph.value(0, np.float32))
        features.append(graph.add("ReduceMax", positive, axes=[2], keepdims=0))
    return graph.add("Concat", *features, axis=1)


def _read_to_end(graph: _Graph, packed: Packed) -> str:
    """Return the last layer's final states `(batch, directions · hidden)` of a recurrent network."""
    cell, ways = packed.about["model"]["cell"], 2 if "rnn.weight_ih_l0_reverse" in packed.parameters else 1
    hidden = packed.parameters["rnn.weight_hh_l0"].shape[1]
    layers = sum(name.startswith("rnn.weight_ih_l") and not name.endswith("_reverse") for name in packed.parameters)
    steps = graph.add("Cast", graph.add("Max", "lengths", graph.value(1)), to=TensorProto.INT32)
    settings: dict[str, Any] = {"hidden_size": hidden, "direction": "bidirectional" if ways == 2 else "forward"}
    if cell in ("gru", "gru_chung"):
        settings["linear_before_reset"] = int(cell == "gru")
    inputs = graph.add("Transpose", _vectors(graph, packed, 1), perm=[1, 0, 2])
    for layer in range(layers):
        names = [f"l{layer}", f"l{layer}_reverse"][:ways]
        matrix, own, bias, own_bias = (
            _stacked(packed, cell, [f"rnn.{kind}_{name}" for name in names])
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        given = [graph.value(one, np.float32) for one in (matrix, own, np.concatenate([bias, own_bias], axis=1))]
        if layer == layers - 1:
            # (directions, batch, hidden)
            states = graph.add(_OPERATORS[cell], inputs, *given, steps, outputs=2, **settings)
            last = graph.add("Transpose", states, perm=[1, 0, 2])
            return graph.add("Reshape", last, graph.value([0, ways * hidden]))
        # (length, directions, batch, hidden)
        outputs = graph.add(_OPERATORS[cell], inputs, *given, steps, **settings)
        turned = graph.add("Transpose", outputs, perm=[0, 2, 1, 3])
        inputs = graph.add("Reshape", turned, graph.value([0, 0, ways * hidden]))
    raise ValueError("a recurrent network without layers")


def _stacked(packed: Packed, cell: str, names: Sequence[str]) -> np.ndarray:
    """Return matrices or biases of all directions in ONNX's order, `(directions, blocks · hidden[, inputs])`."""
    stacked = []
    for name in names:
        parts = np.split(packed.parameters[name].dense(), len(_BLOCKS[cell]))
        if cell == "gru_chung":  # its z is ONNX's 1 − z, and σ(−a) = 1 − σ(a)
            parts[1] = -parts[1]
        stacked.append(np.concatenate([parts[place] for place in _BLOCKS[cell]]))
    return np.stack(stacked)
