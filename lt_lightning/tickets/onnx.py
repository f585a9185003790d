"""A ticket as an ONNX file, dense, for whatever runs such files; checked by onnxruntime where that is installed."""

from __future__ import annotations

import json
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lt_lightning import __version__
from lt_lightning.errors import SettingError
from lt_lightning.storage.atomic import write_whole, writing_to

if TYPE_CHECKING:
    from lt_lightning.tickets.file import Packed

LARGEST = 2**31 - 2**20
"""Bytes of weights; a file of this format holds less than 2 GiB in all."""

ROWS, LONGEST = 64, 40
"""So many random texts a written file is checked with, of up to so many words."""

_CLOSE = 1e-3
"""Logits that differ by more are not those of one network, however they are added up."""


def check_onnx(packed: Packed) -> None:
    """See that a ticket can be written as an ONNX file.

    Raises:
        SettingError: `onnx` is not installed, or the ticket is too large for one such file.
    """
    if find_spec("onnx") is None:
        raise SettingError('--onnx: onnx is not installed; pip install "lt-lightning[onnx]"')
    size = sum(4 * prod(parameter.shape) for parameter in packed.parameters.values())
    if size > LARGEST:
        raise SettingError(
            f"--onnx: the network has {size / 2**30:.1f} GiB of weights, and ONNX files have less than 2; use "
            "--state-dict"
        )


def write_onnx(packed: Packed, path: Path) -> float | None:
    """Write a ticket as an ONNX file, whole or not at all, and check it; see `graphs.build_graph` for what is in it.

    Its metadata says what a program needs to make ids of texts and names of numbers, as JSON: `class_names`,
    `splitter`, `max_length`, `words` (the number of ids), `unknown` and `padding` (their ids), `run`, `round`,
    `sparsity`, `test_acc`.

    Args:
        packed: the ticket.
        path: the file; its folder must exist.

    Returns:
        The largest difference between a logit of onnxruntime and the ticket's own, on random texts, as a share of
        the largest logit where that is beyond 1; None where onnxruntime is not installed.

    Raises:
        SettingError: `onnx` is not installed, the ticket is too large for one such file, or the two differ.
        WriteError: the file cannot be written.
    """
    check_onnx(packed)
    import onnx

    from lt_lightning.tickets.graphs import IR_VERSION, OPSET, build_graph

    model = onnx.helper.make_model(
        build_graph(packed),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="lt-lightning",
        producer_version=__version__,
    )
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in _told(packed).items()})
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


def _told(packed: Packed) -> dict[str, Any]:
    from lt_lightning.data.tokenizer import PADDING, UNKNOWN

    about = packed.about
    words = packed.parameters["embedding.weight"].shape[0]
    keys = ("class_names", "splitter", "max_length", "run", "round", "sparsity", "test_acc")
    return {key: about.get(key) for key in keys} | {"words": words, "unknown": UNKNOWN, "padding": PADDING}


def _difference(content: bytes, packed: Packed) -> float | None:
    """How far the file's logits are from the ticket's, at most."""
    try:
        import onnxruntime
    except ImportError:
        return None
    from lt_lightning.tickets.network import build_network

    rng = np.random.default_rng(0)
    words = packed.parameters["embedding.weight"].shape[0]
    texts = [rng.integers(words, size=length) for length in (0, 1, 2, *rng.integers(3, LONGEST, ROWS - 3))]
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    lengths = np.array([len(text) for text in texts])
    # Whatever stands beyond a text, the file must not look at it.
    ids = rng.integers(words, size=(len(texts), lengths.max()))
    for row, text in zip(ids, texts, strict=True):
        row[: len(text)] = text
    logits = np.asarray(session.run(["logits"], {"ids": ids, "lengths": lengths})[0])
    own = build_network(packed).logits(texts).reshape(logits.shape)
    return float(np.abs(logits - own).max() / max(1.0, np.abs(own).max()))
