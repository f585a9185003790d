"""Compute the logits of an encoder's ticket by onnxruntime, or by torch and transformers.

onnxruntime comes first where both are installed: it starts faster, and needs less memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from lt_lightning.errors import SettingError
from lt_lightning.storage.sealed import quoted
from lt_lightning.tickets.encoder.file import PackedEncoder

if TYPE_CHECKING:
    from lt_lightning.tickets.encoder.modeling_ticket import TicketForSequenceClassification

ROWS, PIECES = 32, 4096
"""The number of texts, and of pieces with padding, that are computed together at most."""

Answer = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""A function of `input_ids` and `attention_mask`, int64 (batch, length), that returns logits (batch, classes)."""


class EncoderNetwork:
    """The network of an encoder's ticket.

    Args:
        packed: the content of the file.

    Raises:
        SettingError: neither onnxruntime nor torch and transformers are installed, or they cannot read the ticket.
    """

    def __init__(self, packed: PackedEncoder) -> None:
        self._classes = len(packed.about["class_names"])
        self._padding = packed.about["encoder"]["padding"]
        self._answer = _choose(packed)

    def logits(self, texts: Sequence[np.ndarray]) -> np.ndarray:
        """Return the logits of texts, (texts, classes) float32; each text is the ids of its pieces.

        Raises:
            SettingError: the network cannot compute them.
        """
        found = np.empty((len(texts), self._classes), np.float32)
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        while order:
            rows = [order.pop()]  # the longest left
            length = max(1, len(texts[rows[0]]))
            while order and len(rows) < min(ROWS, PIECES // length):
                rows.append(order.pop())
            ids, mask = fill([texts[row] for row in rows], self._padding)
            found[rows] = self._checked_answer(ids, mask)
        return found

    def _checked_answer(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        try:
            logits = np.asarray(self._answer(ids, mask), np.float32)
        except Exception as error:  # onnxruntime and torch have a type for each fault
            raise SettingError(
                f"the ticket's network cannot read texts of {ids.shape[1]:,} pieces ({quoted(error)}); export it again"
            ) from error
        if logits.shape != (len(ids), self._classes):
            raise SettingError(
                f"the ticket's network gives an array of shape {list(logits.shape)} for {len(ids)} texts and "
                f"{self._classes} classes; export it again"
            )
        return logits


def fill(texts: Sequence[np.ndarray], padding: int) -> tuple[np.ndarray, np.ndarray]:
    """Return `input_ids` and `attention_mask`, int64 (texts, length); an empty text is a single padding piece."""
    lengths = np.array([max(1, len(text)) for text in texts])
    mask = (np.arange(lengths.max()) < lengths[:, None]).astype(np.int64)
    ids = np.full(mask.shape, padding, np.int64)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = text
    return ids, mask


def _choose(packed: PackedEncoder) -> Answer:
    if packed.graph and find_spec("onnxruntime") is not None:
        return by_onnxruntime(packed.graph, weights_of(packed))
    if find_spec("torch") is not None and find_spec("transformers") is not None:
        return by_torch(packed)
    if packed.graph:
        raise SettingError(
            "the ticket has a pre-trained encoder, which onnxruntime, or torch and transformers, compute, and none of "
            'them is installed; pip install "lt-lightning[onnxruntime]", or "lt-lightning[bert]"'
        )
    raise SettingError(
        "the ticket has a pre-trained encoder and no graph for onnxruntime, so it needs torch and transformers; pip "
        'install "lt-lightning[bert]", or export it again where the extra onnx is installed'
    )


def weights_of(packed: PackedEncoder) -> dict[str, np.ndarray]:
    """Return all weights by name, dense, float32."""
    return {name: parameter.dense() for name, parameter in packed.parameters.items()}


def by_onnxruntime(graph: bytes, weights: Mapping[str, np.ndarray]) -> Answer:
    """Return a function that runs a graph that lacks its weights.

    Raises:
        SettingError: onnxruntime cannot read the graph, or the weights are not its own.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    values = {name: onnxruntime.OrtValue.ortvalue_from_numpy(one) for name, one in weights.items()}
    options.add_external_initializers([*values], [*values.values()])
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a type for each fault
        raise SettingError(f"onnxruntime cannot read the ticket's graph ({quoted(error)}); export it again") from error

    def answer(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return np.asarray(session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0])

    return answer


def by_torch(packed: PackedEncoder) -> Answer:
    """Return a function that runs the network of `build_torch`."""
    import torch

    network = build_torch(packed)

    def answer(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(ids), torch.from_numpy(mask)).logits.numpy()

    return answer


def build_torch(packed: PackedEncoder) -> TicketForSequenceClassification:
    """Return the network in torch, in eval mode.

    Raises:
        SettingError: transformers cannot build it, or the weights are not its own.
    """
    import torch

    from lt_lightning.tickets.encoder.modeling_ticket import TicketConfig, TicketForSequenceClassification

    weights = {name: torch.from_numpy(one) for name, one in weights_of(packed).items()}
    try:
        config = TicketConfig(**model_settings(packed.about))
        with torch.device("meta"):  # takes no memory, whatever sizes the configuration has
            shapes = {name: one.shape for name, one in TicketForSequenceClassification(config).state_dict().items()}
        if shapes != {name: one.shape for name, one in weights.items()}:
            raise ValueError("the parameters of its configuration are others than its own")
        network = TicketForSequenceClassification(config)
        network.load_state_dict(weights)
    except Exception as error:  # any type, by the configuration's class
        kind = packed.about["encoder"]["config"]["model_type"]
        raise SettingError(
            f"the ticket's encoder cannot be built as {kind} of the installed transformers ({quoted(error)}); use "
            "the version that the ticket's card names, or onnxruntime"
        ) from error
    return network.eval()


def model_settings(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `TicketConfig` for a ticket with this header."""
    encoder, names = about["encoder"], about["class_names"]
    model = about.get("model")
    dropout = model.get("dropout") if isinstance(model, Mapping) else None
    return {
        "encoder": dict(encoder["config"]),
        "pooling": encoder["pooling"],
        "head_dropout": dropout if isinstance(dropout, float) else 0.0,
        "pad_token_id": encoder["padding"],
        "id2label": dict(enumerate(names)),
        "label2id": {name: number for number, name in enumerate(names)},
    }
