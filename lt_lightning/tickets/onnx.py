"""Write a ticket as a dense ONNX file, checked with onnxruntime if that is installed."""

from __future__ import annotations

import json
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lt_lightning import __version__
from lt_lightning.errors import SettingError
from lt_lightning.storage.atomic import write_whole, writing_to

if TYPE_CHECKING:
    from lt_lightning.tickets.file import Packed

LARGEST = 2**31 - 2**20
"""Maximum bytes of weights; an ONNX file holds less than 2 GiB."""

_ROWS, _LONGEST = 64, 40
"""Number of random texts that a file is checked with, and their maximum length."""

_CLOSE = 1e-3
"""Maximum difference of logits; the order of summation explains less."""


def check_onnx(packed: Packed) -> None:
    """Raise if a ticket cannot be written as an ONNX file.

    Raises:
        SettingError: `onnx` is not installed, or the ticket is too large for an ONNX file.
    """
    if find_spec("onnx") is None:
        raise SettingError('--onnx: onnx is not installed; pip install "lt-lightning[onnx]"')
    size = sum(4 * prod(parameter.shape) for parameter in packed.parameters.values())
    if size > LARGEST:
        raise SettingError(
            f"--onnx: the network has {size / 2**30:.1f} GiB of weights, and an ONNX file holds less than 2; use "
            "--state-dict"
        )


def write_onnx(packed: Packed, path: Path) -> float | None:
    """Write the graph of `graphs.build_graph` atomically, and check it.

    Its metadata holds, as JSON, what a program needs to turn texts into ids and classes into names: `class_names`,
    `splitter`, `max_length`, `words` (the number of ids), `unknown` and `padding` (their ids), `temperature`, `run`,
    `round`, `sparsity` and `test_acc`.

    Returns:
        The largest difference between onnxruntime's and the ticket's logits on random texts, divided by the largest
        logit if that exceeds 1; None if onnxruntime is not installed.

    Raises:
        SettingError: `onnx` is not installed, the ticket is too large for an ONNX file, or the two differ.
        WriteError: the file cannot be written.
    """
    check_onnx(packed)
    import onnx

    from lt_lightning.data.tokenizer import PADDING, UNKNOWN
    from lt_lightning.tickets.graphs import IR_VERSION, OPSET, build_graph

    about = packed.about
    keys = ("class_names", "splitter", "max_length", "temperature", "run", "round", "sparsity", "test_acc")
    words = packed.parameters["embedding.weight"].shape[0]
    metadata = {key: about.get(key) for key in keys} | {"words": words, "unknown": UNKNOWN, "padding": PADDING}
    model = onnx.helper.make_model(
        build_graph(packed),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="lt-lightning",
        producer_version=__version__,
    )
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in metadata.items()})
    onnx.checker.check_model(model, full_check=True)
    content = model.SerializeToString()
    difference = _difference(content, packed)
    if difference is not None and not difference <= _CLOSE:
        raise SettingError(
            f"--onnx: onnxruntime's logits are {difference:.1e} off the ticket's; leave it out, or use --state-dict"
        )
    with writing_to(path.parent):
        write_whole(path, content)
    return difference


def _difference(content: bytes, packed: Packed) -> float | None:
    """Return the largest relative difference between the file's logits and the ticket's."""
    try:
        import onnxruntime
    except ImportError:
        return None
    from lt_lightning.tickets.numpy import build_network

    rng = np.random.default_rng(0)
    words = packed.parameters["embedding.weight"].shape[0]
    texts = [rng.integers(words, size=length) for length in (0, 1, 2, *rng.integers(3, _LONGEST, _ROWS - 3))]
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    lengths = np.array([len(text) for text in texts])
    # Random ids after each text: the graph must ignore them.
    ids = rng.integers(words, size=(len(texts), lengths.max()))
    for row, text in zip(ids, texts, strict=True):
        row[: len(text)] = text
    logits = np.asarray(session.run(["logits"], {"ids": ids, "lengths": lengths})[0])
    own = build_network(packed).logits(texts).reshape(logits.shape)
    return float(np.abs(logits - own).max() / max(1.0, np.abs(own).max()))
