"""From settings to a network, its task, its optimizer and its learning-rate schedule."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import pytorch_lightning as pl
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from torch import Tensor, nn, optim
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau
from torchmetrics import Metric

from lt_lightning.config.choice import Custom, values_of
from lt_lightning.config.encoders import Encoder
from lt_lightning.config.messages import explain_instantiation
from lt_lightning.config.models import EmbeddingConfig, ModelChoice
from lt_lightning.config.optimizers import CustomScheduler, OptimizerConfig, SchedulerConfig
from lt_lightning.errors import SettingError
from lt_lightning.kernels.sparse_adam import LivingAdam
from lt_lightning.models.cnn import BinaryCNN, MultiCNN
from lt_lightning.models.description import describe_learner
from lt_lightning.models.embedding import LetterEmbedding, OneHot, WordEmbedding
from lt_lightning.models.learner import Learner
from lt_lightning.models.rnn.classifier import RecurrentClassifier
from lt_lightning.models.rnn.seq2seq import EncoderDecoder
from lt_lightning.models.rnn.tagger import Tagger
from lt_lightning.models.tasks import Classification, LanguageModel, SequenceToSequence, Tagging

if TYPE_CHECKING:
    from lt_lightning.data.sources.encoders import EncoderFiles

L = TypeVar("L", bound=Learner)

TASKS = {task.name: task for task in (Classification, Tagging, LanguageModel)}


def build_learner(
    model: ModelChoice,
    embedding: EmbeddingConfig | None,
    optimizer: OptimizerConfig | Custom,
    *,
    words: int,
    classes: int,
    vectors: Tensor | None = None,
    encoder: EncoderFiles | None = None,
    max_length: int | None = None,
    scheduler: SchedulerConfig | CustomScheduler | None = None,
    metrics: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    class_names: Sequence[str] | None = None,
    kind: type[L] = Learner,
) -> L:
    """Build the LightningModule that the settings ask for; its checkpoints describe it.

    Args:
        model: the `model` group.
        embedding: the `embedding` group; None for a model with a pre-trained encoder.
        optimizer: the `optimizer` group.
        words: the size of the vocabulary; of pairs of strings, of the alphabet.
        classes: the number of classes of the data; a network that predicts letters has the letters instead.
        vectors: pre-trained word vectors, or None; see `WordEmbedding`.
        encoder: the files of the pre-trained encoder of a model that has one.
        max_length: the number of pieces of the longest text that such a model reads.
        scheduler: the `scheduler` group; None for a constant learning rate.
        metrics: the `metrics` group: by name, objects that are measured beside accuracy and F1.
        class_names: the names of the classes, for the description; None if they are not known.
        kind: the class of the module.

    Raises:
        SettingError: if the model is not for so many classes, or so many letters.
    """
    model.check_sizes(classes, words)
    if isinstance(model, Encoder):
        assert encoder is not None
        network = build_encoder_network(model, encoder, classes=classes, max_length=max_length)
    else:
        assert embedding is not None
        network = build_network(model, embedding, words=words, classes=classes, vectors=vectors)
    make_optimizer = partial(build_optimizer, optimizer, undecayed=undecayed_parameters(network, optimizer))
    make_scheduler = partial(build_scheduler, scheduler) if scheduler and scheduler.target else None
    if model.task == SequenceToSequence.name:
        answers, task = words + 1, SequenceToSequence(words)
    else:
        answers, task = classes if model.task == Classification.name else words, TASKS[model.task]()
    learner = kind(network, answers, make_optimizer, task, make_scheduler)
    if isinstance(optimizer, Custom) or isinstance(scheduler, Custom):
        # Build them once before anything is on disk, so that a typing mistake leaves no folder.
        made = make_optimizer(network.parameters())
        if make_scheduler is not None:
            make_scheduler(made, 2)
    learner.add_metrics({name: _build_metric(name, settings, answers) for name, settings in metrics.items()})
    learner.describe(
        describe_learner(
            model,
            embedding,
            optimizer,
            scheduler,
            metrics,
            words=words,
            classes=classes,
            class_names=class_names,
            encoder=encoder,
            max_length=max_length,
        )
    )
    return learner


def _build_metric(name: str, settings: Mapping[str, Any], classes: int) -> Metric:
    """Build a metric that the settings add."""
    arguments = {"num_classes": classes, **settings}
    metric = _instantiate(f"metrics.{name}", {"_target_": arguments.pop("_target_")}, **arguments)
    if not isinstance(metric, Metric):
        raise SettingError(
            f"metrics.{name}: {type(metric).__name__} is not a torchmetrics.Metric; give a subclass of it"
        )
    return metric


def build_network(
    model: ModelChoice, embedding: EmbeddingConfig, *, words: int, classes: int, vectors: Tensor | None = None
) -> nn.Module:
    """Build the network alone; see `build_learner`."""
    about: dict[str, Any] = {"words": words, "classes": classes}
    if not isinstance(model, Custom):
        about |= {"vectors": vectors, "dim": embedding.dim, "embedding_std": embedding.std}
    settings = {key: value for key, value in values_of(model).items() if key not in model.unbuilt}
    network = _instantiate("model", {"_target_": model.target}, **settings, **about)
    if isinstance(network, pl.LightningModule):
        raise SettingError(
            f"model._target_: {model.target} is a LightningModule, which brings data of its own; add data=custom "
            "data._target_=DATAMODULE and metric=NAME"
        )
    return network


def build_encoder_network(model: Encoder, files: EncoderFiles, *, classes: int, max_length: int | None) -> nn.Module:
    """Build the network of a model with a pre-trained encoder; see `models.encoder.build_encoder`."""
    settings = {key: value for key, value in values_of(model).items() if key not in model.unbuilt}
    build = _instantiate("model", {"_target_": model.target, "_partial_": True})
    return build(files=files, classes=classes, max_length=max_length, **settings)


T = TypeVar("T")


def build_own(settings: Custom, kind: type[T]) -> T:
    """Build a LightningModule or LightningDataModule of the user's own.

    Args:
        settings: the `model` or the `data` group.
        kind: the class that it must be a subclass of.

    Raises:
        SettingError: if it cannot be built, or is of another kind.
    """
    group = "data" if kind is pl.LightningDataModule else "model"
    built = _instantiate(group, {"_target_": settings._target_}, **settings.arguments)
    if not isinstance(built, kind):
        raise SettingError(f"{group}._target_: {settings._target_} is not a {kind.__name__}, which data=custom needs")
    return built


def _instantiate(group: str, target: dict[str, Any], **arguments: Any) -> Any:
    """Return the object of a group; an error of a class of the user's own becomes one line."""
    try:
        return instantiate(target, **arguments)
    except InstantiationException as error:
        raise SettingError(explain_instantiation(error, group)) from error


def build_cnn(*, classes: int, **settings: Any) -> nn.Module:
    """Build a `BinaryCNN` for two classes, and a `MultiCNN` for more."""
    return BinaryCNN(**settings) if classes == 2 else MultiCNN(classes=classes, **settings)


def build_birnn(*, classes: int, **settings: Any) -> nn.Module:
    """Build a recurrent classifier: one logit for two classes, one a class for more."""
    return RecurrentClassifier(classes=None if classes == 2 else classes, **settings)


def build_tagger(*, words: int, input: str, dim: int, embedding_std: float, **settings: Any) -> nn.Module:
    """Build a network that answers each letter with a letter; it has no use for `classes` and `vectors`."""
    del settings["classes"], settings["vectors"]
    reader = OneHot(words) if input == "onehot" else LetterEmbedding(words, dim, embedding_std)
    return Tagger(reader, words, **settings)


def build_language_model(*, words: int, dim: int, embedding_std: float, **settings: Any) -> nn.Module:
    """Build a network that predicts the next letter; it has no use for `classes` and `vectors`."""
    del settings["classes"], settings["vectors"]
    return Tagger(WordEmbedding(words, dim, std=embedding_std), words, role="language model", **settings)


def build_seq2seq(*, words: int, **settings: Any) -> nn.Module:
    """Build an encoder and a decoder; they have no use for `classes` and `vectors`."""
    del settings["classes"], settings["vectors"]
    return EncoderDecoder(words, **settings)


def undecayed_parameters(network: nn.Module, settings: OptimizerConfig | Custom) -> frozenset[nn.Parameter]:
    """Return the parameters of a network that weight decay leaves alone, those that `optimizer.no_decay` names.

    Raises:
        SettingError: if a pattern matches no parameter.
    """
    named = list(network.named_parameters(remove_duplicate=False))
    patterns = [] if isinstance(settings, Custom) else settings.no_decay
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name, _ in named):
            raise SettingError(
                f"optimizer.no_decay: the pattern {pattern!r} matches no parameter; there are: "
                f"{', '.join(name for name, _ in named)}"
            )
    return frozenset(param for name, param in named if any(fnmatchcase(name, pattern) for pattern in patterns))


def build_optimizer(
    settings: OptimizerConfig | Custom,
    parameters: Iterable[nn.Parameter],
    undecayed: Collection[nn.Parameter] = frozenset(),
) -> optim.Optimizer:
    """Build the optimizer that the settings ask for.

    Args:
        settings: the `optimizer` group.
        parameters: what it trains.
        undecayed: those of them that weight decay leaves alone; they are a group of their own. See
            `undecayed_parameters`.
    """
    params, values = list(parameters), values_of(settings)
    if isinstance(settings, Custom):
        return _instantiate("optimizer", {"_target_": settings._target_}, params=params, **settings.arguments)
    del values["name"], values["no_decay"]
    if "betas" in values:
        values["betas"] = tuple(values["betas"])
    is_fast = values.pop("kernel", None) == "fast" and LivingAdam.serves(params)
    groups = _groups(params, undecayed)
    if is_fast:
        del values["fused"]
        return LivingAdam(groups, **values, decoupled=settings.decoupled)
    return instantiate({"_target_": settings.target, "_partial_": True})(groups, **values)


def _groups(params: list[nn.Parameter], undecayed: Collection[nn.Parameter]) -> Any:
    """Return parameters as an optimizer takes them: as they are, or in a group with and one without weight decay."""
    alone = [param for param in params if param in undecayed]
    if not alone:
        return params
    others = [param for param in params if param not in undecayed]
    return [*([{"params": others}] if others else []), {"params": alone, "weight_decay": 0.0}]


def build_scheduler(
    settings: SchedulerConfig | CustomScheduler, optimizer: optim.Optimizer, steps: int
) -> dict[str, Any]:
    """Build the learning-rate schedule that the settings ask for; `scheduler=none` has none.

    Args:
        settings: the `scheduler` group.
        optimizer: the optimizer whose learning rate it sets.
        steps: the number of optimizer steps that the round takes at most.

    Returns:
        A scheduler and when to step it, in Lightning's form.

    Raises:
        SettingError: if the user's class cannot be built or is no scheduler.
    """
    values = values_of(settings)
    del values["name"]
    if isinstance(settings, SchedulerConfig):
        share = instantiate({"_target_": settings.target, "_partial_": True}, total=steps, **values)
        return {"scheduler": LambdaLR(optimizer, share), "interval": "step"}
    del values["_target_"], values["interval"]
    scheduler = _instantiate("scheduler", {"_target_": settings.target}, optimizer=optimizer, **values)
    if not isinstance(scheduler, (LRScheduler, ReduceLROnPlateau)):
        raise SettingError(
            f"scheduler._target_: {settings.target} makes a {type(scheduler).__name__}, which is no scheduler; give "
            "a subclass of torch.optim.lr_scheduler.LRScheduler"
        )
    # Only ReduceLROnPlateau reads the loss.
    return {"scheduler": scheduler, "interval": settings.interval, "monitor": "valid_loss"}
