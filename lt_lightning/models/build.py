"""From settings to a network, its task and its optimizer."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn, optim

from lt_lightning.config.choices import check_model
from lt_lightning.kernels.sparse_adam import LivingAdam
from lt_lightning.models.cnn import BinaryCNN, MultiCNN
from lt_lightning.models.embedding import LetterEmbedding, OneHot, WordEmbedding
from lt_lightning.models.learner import Learner
from lt_lightning.models.rnn.classifier import RecurrentClassifier
from lt_lightning.models.rnn.seq2seq import EncoderDecoder
from lt_lightning.models.rnn.tagger import Tagger
from lt_lightning.models.tasks import Classification, LanguageModel, SequenceToSequence, Tagging

if TYPE_CHECKING:
    from lt_lightning.config.schema import EmbeddingConfig, ModelConfig, OptimizerConfig


def build_learner(
    model: ModelConfig,
    embedding: EmbeddingConfig,
    optimizer: OptimizerConfig,
    *,
    words: int,
    classes: int,
    vectors: Tensor | None = None,
) -> Learner:
    """The LightningModule that the settings ask for.

    Args:
        model: the `model` group.
        embedding: the `embedding` group.
        optimizer: the `optimizer` group.
        words: the size of the vocabulary; of pairs of strings, of the alphabet.
        classes: the number of classes of the data; whoever predicts letters has the letters instead.
        vectors: pre-trained word vectors, or None; see `WordEmbedding`.

    Raises:
        SettingError: if the model is not for so many classes, or so many letters.
    """
    check_model(model, classes, words)
    make_optimizer = partial(build_optimizer, optimizer)
    if model.name == "tagger":
        return Learner(_tagger(model, embedding, words), words, make_optimizer, Tagging())
    if model.name == "char_lm":
        return Learner(_language_model(model, embedding, words), words, make_optimizer, LanguageModel())
    if model.name == "seq2seq":
        network = EncoderDecoder(words, dim=embedding.dim, embedding_std=embedding.std, **_recurrent(model))
        return Learner(network, words + 1, make_optimizer, SequenceToSequence(network.end))
    network = build_classifier(model, embedding, words=words, classes=classes, vectors=vectors)
    return Learner(network, classes, make_optimizer, Classification())


def build_classifier(
    model: ModelConfig, embedding: EmbeddingConfig, *, words: int, classes: int, vectors: Tensor | None = None
) -> nn.Module:
    """The network that tells classes of texts apart; see `build_learner`."""
    common: dict[str, Any] = {"dim": embedding.dim, "vectors": vectors, "embedding_std": embedding.std}
    if model.name == "birnn":
        logits = None if classes == 2 else classes
        common |= {"bidirectional": bool(model.bidirectional), "kernel": model.kernel}
        return RecurrentClassifier(words, logits, **_recurrent(model), **common)
    common |= {
        "filters": model.filters, "widths": model.widths, "initializer": model.initializer, "dropout": model.dropout,
        "kernel": model.kernel,
    }  # fmt: skip
    return BinaryCNN(words, **common) if classes == 2 else MultiCNN(words, classes, **common)


def _tagger(model: ModelConfig, embedding: EmbeddingConfig, letters: int) -> Tagger:
    reader = OneHot(letters) if model.input == "onehot" else LetterEmbedding(letters, embedding.dim, embedding.std)
    heads: dict[str, Any] = {"head": model.head, "unroll": model.unroll}
    return Tagger(reader, letters, **_recurrent(model), **heads)


def _language_model(model: ModelConfig, embedding: EmbeddingConfig, words: int) -> Tagger:
    reader = WordEmbedding(words, embedding.dim, std=embedding.std)
    return Tagger(reader, words, role="language model", **_recurrent(model))


def _recurrent(model: ModelConfig) -> dict[str, Any]:
    """What all recurrent networks are told."""
    return {
        "cell": model.cell,
        "backend": model.backend,
        "hidden": model.hidden,
        "layers": model.layers,
        "dropout": model.dropout or 0.0,
    }


def build_optimizer(settings: OptimizerConfig, parameters: Iterable[nn.Parameter]) -> optim.Optimizer:
    """The optimizer that the settings ask for, over `parameters`."""
    params = list(parameters)
    if settings.kernel == "fast" and LivingAdam.serves(params):
        assert settings.betas is not None and settings.eps is not None
        return LivingAdam(
            params,
            settings.lr,
            (settings.betas[0], settings.betas[1]),
            settings.eps,
            settings.weight_decay,
            decoupled=settings.name == "adamw",
        )
    common = {"lr": settings.lr, "weight_decay": settings.weight_decay, "fused": settings.fused}
    if settings.name == "sgd":
        return optim.SGD(params, momentum=settings.momentum or 0.0, **common)
    assert settings.betas is not None and settings.eps is not None
    kind = {"adam": optim.Adam, "adamw": optim.AdamW}[settings.name]
    return kind(params, betas=(settings.betas[0], settings.betas[1]), eps=settings.eps, **common)
