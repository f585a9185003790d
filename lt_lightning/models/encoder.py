"""A pre-trained encoder of transformers with a linear classifier on top.

Documentation: https://huggingface.co/docs/transformers/model_doc/auto
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from lt_lightning.data.sources.encoders import CONFIG, OTHER_ENCODER, WEIGHTS
from lt_lightning.errors import SettingError, first_line

if TYPE_CHECKING:
    from lt_lightning.data.sources.encoders import EncoderFiles

_SAME = 1e-3
"""How far logits may be apart, absolutely and relatively, by rounding alone."""

Hidden = Float[Tensor, "batch length hidden"]
Pooled = Float[Tensor, "batch hidden"]


class EncoderClassifier(nn.Module):
    """An encoder whose pooled last hidden states a linear head classifies; one logit a class, of two classes too.

    The answer to a text depends neither on padding nor on the other texts of a batch.

    Args:
        encoder: a network of transformers' `AutoModel` that maps ids and an attention mask to hidden states.
        classes: the number of classes.
        pooling: `mean`, over the pieces of a text; `cls`, the state of the first; `pooler`, the encoder's own pooler.
        dropout: the share of the pooled state dropped in training.
        padding: the id that the encoder pads with.
        title: the name to show.

    Attributes:
        encoder: the encoder, without its pooler unless `pooling` is `pooler`.
        head: the classifier.
    """

    def __init__(
        self, encoder: nn.Module, classes: int, pooling: str, dropout: float, padding: int, title: str = ""
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(encoder.config.hidden_size, classes)  # pyright: ignore[reportAttributeAccessIssue, reportArgumentType]
        self.title = title or f"{type(encoder).__name__}, {pooling} pooling"
        self._padding = padding
        self._pool = _POOLS[pooling]

    def make_gradients_sparse(self, sparse: bool) -> None:
        """Choose whether the gradient of the word embeddings, the largest table, is a sparse tensor of their rows."""
        table = self.encoder.get_input_embeddings()  # pyright: ignore[reportCallIssue]
        if isinstance(table, nn.Embedding):
            table.sparse = sparse

    def forward(
        self, ids: Int64[Tensor, "batch length"], lengths: Int64[Tensor, " batch"]
    ) -> Float[Tensor, "batch classes"]:
        """Return the logits of texts.

        Args:
            ids: the pieces of each text; ids behind its length are ignored.
            lengths: the number of pieces of each text.
        """
        # An empty text is a single padding piece, as attention over nothing is not defined.
        real = torch.arange(ids.shape[1], device=ids.device) < lengths.clamp(min=1)[:, None]
        filled = torch.where(torch.arange(ids.shape[1], device=ids.device) < lengths[:, None], ids, self._padding)
        found = self.encoder(input_ids=filled, attention_mask=real.long())
        pooled = self._pool(found, real).to(self.head.weight.dtype)
        return self.head(self.dropout(pooled))


def _mean(found: Any, real: Bool[Tensor, "batch length"]) -> Pooled:
    """Return the mean of the states of the real pieces, in single precision under autocast."""
    states: Hidden = found.last_hidden_state
    wide = torch.promote_types(states.dtype, torch.float32)
    weights = real.to(wide)[..., None]
    return (states.to(wide) * weights).sum(dim=1) / weights.sum(dim=1)


_POOLS: dict[str, Callable[[Any, Bool[Tensor, "batch length"]], Pooled]] = {
    "mean": _mean,
    "cls": lambda found, real: found.last_hidden_state[:, 0],
    "pooler": lambda found, real: found.pooler_output,
}


def build_encoder(
    *, files: EncoderFiles, classes: int, max_length: int | None, pooling: str, dropout: float, freeze: Sequence[str]
) -> EncoderClassifier:
    """Build an `EncoderClassifier` with the weights of some files; torch's generator draws the head.

    Args:
        files: the files of the encoder. Without weights, as of a run whose source is gone, they are drawn at random,
            to be overwritten by the run's own.
        classes: the number of classes.
        max_length: the number of pieces of the longest text; None for any.
        pooling: see `EncoderClassifier`.
        dropout: likewise.
        freeze: fnmatch patterns over the names of the encoder's parameters, with or without `encoder.` before them;
            those that match are not trained, and so not pruned.

    Raises:
        SettingError: the files are not those of an encoder, do not fit together, or lack the pooler; the encoder cannot
            be run, or padding changes what it answers; or a pattern matches no parameter.
    """
    head = torch.Generator().manual_seed(torch.initial_seed())
    encoder = _load(files, pooling)
    _check_positions(encoder, files, max_length)
    title = f"{files.name}, {type(encoder).__name__}, {pooling} pooling"
    try:
        network = EncoderClassifier(encoder, classes, pooling, dropout, files.padding, title)
        _draw_head(network.head, head)
        alone, padded = _answer_alone_and_padded(network.eval(), files)
    except Exception as error:  # any type, by the network
        raise SettingError(
            f"{files.setting}: {files.name} is of {files.kind}, which cannot be run on the pieces of texts "
            f"({first_line(error)}); {OTHER_ENCODER}"
        ) from error
    if not alone.isfinite().all():
        raise SettingError(f"{files.setting}: {files.folder / WEIGHTS} has weights that are not finite; restore it")
    if not torch.allclose(alone, padded, rtol=_SAME, atol=_SAME):
        raise SettingError(
            f"{files.setting}: {files.name} is of {files.kind}, whose answer to a text depends on the padding behind "
            f"it; {OTHER_ENCODER}"
        )
    _freeze(encoder, freeze)
    return network.train()  # transformers loads networks in eval mode, and Lightning keeps the mode


@torch.no_grad()
def _answer_alone_and_padded(network: EncoderClassifier, files: EncoderFiles) -> tuple[Tensor, Tensor]:
    """Return the logits of a text alone, and beside one that is twice as long."""
    most = min(12, files.places or 12)
    pieces = [piece for piece in range(files.config["vocab_size"]) if piece != files.padding][:most]
    ids, half = torch.tensor([pieces, pieces]), max(1, len(pieces) // 2)
    padded = network(ids, torch.tensor([half, len(pieces)]))[0]
    return network(ids[:1, :half], torch.tensor([half]))[0], padded


def _draw_head(head: nn.Linear, generator: torch.Generator) -> None:
    """Draw the head like `nn.Linear`, by a generator that the loading of the encoder did not use."""
    bound = head.in_features**-0.5
    for parameter in (head.weight, head.bias):
        nn.init.uniform_(parameter, -bound, bound, generator=generator)


def _load(files: EncoderFiles, pooling: str) -> nn.Module:
    """Return the encoder of some files in single precision, without its pooler unless it is used."""
    with quiet_transformers():
        import transformers

        if files.kind not in transformers.CONFIG_MAPPING:
            raise SettingError(
                f"{files.setting}: {files.name} is of {files.kind}, which transformers {transformers.__version__} does "
                "not know; give another encoder, or install the version of transformers that its config.json names"
            )
        try:
            config = transformers.AutoConfig.from_pretrained(
                files.folder, local_files_only=True, trust_remote_code=False
            )
        except Exception as error:  # any type, by the configuration's class
            raise SettingError(
                f"{files.setting}: transformers cannot read {files.folder / CONFIG} ({first_line(error)}); correct it"
            ) from error
        # BART and its like are in the mapping, too.
        if type(config) not in transformers.MODEL_FOR_MASKED_LM_MAPPING or config.is_encoder_decoder:
            raise SettingError(
                f"{files.setting}: {files.name} is of {files.kind}, which is no encoder of text (a decoder reads from "
                f"left to right alone); {OTHER_ENCODER}"
            )
        if not files.has_weights:
            return _without_pooler(transformers.AutoModel.from_config(config, dtype=torch.float32), pooling, files)
        path = files.folder / WEIGHTS
        try:
            encoder, info = transformers.AutoModel.from_pretrained(
                files.folder,
                config=config,
                dtype=torch.float32,  # transformers 5 would keep the type of the file
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,  # they are refused below, by name
                output_loading_info=True,
            )
        except Exception as error:  # any type, by the file and the network
            raise SettingError(
                f"{files.setting}: {path} cannot be read as {files.kind} ({first_line(error)}); restore it and {CONFIG}"
            ) from error
    missing = [name for name in sorted(info["missing_keys"]) if pooling == "pooler" or not name.startswith("pooler.")]
    if missing and all(name.startswith("pooler.") for name in missing):
        raise SettingError(
            f"model.pooling: {files.name} has no trained pooler, so that its weights would be random; use "
            "model.pooling=mean or cls"
        )
    others = [*missing, *(str(one[0]) for one in info["mismatched_keys"])]
    if others:
        raise SettingError(
            f"{files.setting}: {path} has no {others[0]!r} of the shape that {CONFIG} asks for, so that they are of "
            "different networks; restore it"
        )
    return _without_pooler(encoder, pooling, files)


def _without_pooler(encoder: nn.Module, pooling: str, files: EncoderFiles) -> nn.Module:
    """Remove the pooler of an encoder that is not pooled by it: its weights would never train."""
    has_pooler = isinstance(getattr(encoder, "pooler", None), nn.Module)
    if pooling == "pooler" and not has_pooler:
        raise SettingError(f"model.pooling: {files.kind} has no pooler; use model.pooling=mean or cls")
    if pooling != "pooler" and has_pooler:
        encoder.register_module("pooler", None)  # its forward method leaves out a pooler that is None
    return encoder


def _check_positions(encoder: nn.Module, files: EncoderFiles, max_length: int | None) -> None:
    """Raise a SettingError if texts are longer than the position table of the network itself."""
    tables = [
        len(module.weight) - (0 if module.padding_idx is None else module.padding_idx + 1)
        for name, module in encoder.named_modules()
        if isinstance(module, nn.Embedding) and name.endswith("position_embeddings")
    ]
    if tables and (max_length is None or max_length > min(tables)):
        wanted = "null keeps all pieces, which" if max_length is None else max_length
        raise SettingError(
            f"data.max_length: {wanted} is more than the {min(tables)} positions that {files.name} has; give at "
            f"most data.max_length={min(tables)}"
        )


def _freeze(encoder: nn.Module, patterns: Sequence[str]) -> None:
    """Exclude the parameters that match a pattern from training."""
    parameters = dict(encoder.named_parameters())
    for pattern in patterns:
        chosen = [name for name in parameters if any(fnmatchcase(one, pattern) for one in (name, f"encoder.{name}"))]
        if not chosen:
            blocks = ", ".join(dict.fromkeys(re.sub(r"(\.\d+)\..*", r"\1.*", name) for name in parameters))
            raise SettingError(
                f"model.freeze: the pattern {pattern!r} matches no parameter of the encoder, which has {blocks}"
            )
        for name in chosen:
            parameters[name].requires_grad_(False)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Hide the progress bars and the advice of transformers while an encoder is loaded."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
