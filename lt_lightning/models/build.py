"""From settings to a network and its optimizer."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn, optim

from lt_lightning.checks import check_model
from lt_lightning.models.classifier import TextClassifier
from lt_lightning.models.convolutional import BinaryCNN, MultiCNN
from lt_lightning.models.recurrent import BiLSTM

if TYPE_CHECKING:
    from lt_lightning.config import EmbeddingConfig, ModelConfig, OptimizerConfig


def build_classifier(
    model: ModelConfig,
    embedding: EmbeddingConfig,
    optimizer: OptimizerConfig,
    *,
    words: int,
    classes: int,
    vectors: Tensor | None,
) -> TextClassifier:
    """The LightningModule that the settings ask for.

    Args:
        model: the `model` group.
        embedding: the `embedding` group.
        optimizer: the `optimizer` group.
        words: the size of the vocabulary.
        classes: the number of classes.
        vectors: pre-trained word vectors, or None; see `WordEmbedding`.

    Raises:
        SettingError: if the model is not for so many classes.
    """
    check_model(model, classes)
    network = _build_network(model, embedding, words, classes, vectors)
    return TextClassifier(network, classes, partial(build_optimizer, optimizer))


def _build_network(
    model: ModelConfig, embedding: EmbeddingConfig, words: int, classes: int, vectors: Tensor | None
) -> nn.Module:
    common: dict[str, Any] = {
        "dim": embedding.dim,
        "dropout": model.dropout,
        "vectors": vectors,
        "embedding_std": embedding.std,
    }
    if model.name == "bilstm":
        assert model.hidden is not None and model.layers is not None
        return BiLSTM(words, None if classes == 2 else classes, hidden=model.hidden, layers=model.layers, **common)
    common |= {"filters": model.filters, "widths": model.widths, "initializer": model.initializer}
    return BinaryCNN(words, **common) if classes == 2 else MultiCNN(words, classes, **common)


def build_optimizer(settings: OptimizerConfig, parameters: Iterable[nn.Parameter]) -> optim.Optimizer:
    """The optimizer that the settings ask for, over `parameters`."""
    common = {"lr": settings.lr, "weight_decay": settings.weight_decay, "fused": settings.fused}
    if settings.name == "sgd":
        return optim.SGD(parameters, momentum=settings.momentum or 0.0, **common)
    assert settings.betas is not None and settings.eps is not None
    kind = {"adam": optim.Adam, "adamw": optim.AdamW}[settings.name]
    return kind(parameters, betas=(settings.betas[0], settings.betas[1]), eps=settings.eps, **common)
