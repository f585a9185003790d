"""Parse the command line of `evaluate` into texts with labels; `data=` means the same as in training. No torch."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lt_lightning.config.folder import config_folder
from lt_lightning.config.quoting import quote
from lt_lightning.config.typed_paths import typed_path
from lt_lightning.errors import SettingError

if TYPE_CHECKING:
    from lt_lightning.config.sources import TextConfig
    from lt_lightning.data.labelled import LabelledTexts

ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")
"""The endings of a single file."""

_KEYS = (
    "path", "delimiter", "hub", "hub_config", "text_column", "label_column", "class_names", "split_names",
    "test_fraction", "group_column", "limit",
)  # fmt: skip
_THE_TICKETS = ("tokenizer", "max_vocab", "max_length", "batch_size", "num_workers", "valid_fraction")


@dataclass(frozen=True)
class Request:
    """The texts to evaluate on."""

    name: str  # the name for files: `agnews`, or a file's or folder's name
    data: TextConfig  # the `data` group, checked
    file: Path | None  # a single file to read entirely; None for a corpus
    split: str | None  # the part of the corpus; None for a file


def read_request(words: Sequence[str]) -> Request:
    """Parse the words `data=…`, `split=…` and `data.KEY=…` of the command line.

    Raises:
        SettingError: for the first invalid word, or if `data` is missing.
    """
    from lt_lightning.data.labelled import SPLITS

    settings = _settings(words)
    data, split = settings.pop("data", ""), settings.pop("split", None)
    if not data:
        raise SettingError(f"data: it is missing; {_choices()}")
    if split is not None and split not in SPLITS:
        raise SettingError(f"split: there is no {split!r}{_perhaps(split, SPLITS)}; choose from {', '.join(SPLITS)}")
    path = typed_path(data)
    if data in _groups():
        return Request(data, _compose([f"data={data}"], settings), None, split or "test")
    _check_path(data, path)
    if "data.path" in settings or "data.hub" in settings:
        key = "data.path" if "data.path" in settings else "data.hub"
        raise SettingError(f"{key}: data={data} already names the data; leave one of them out")
    config = _compose(["data=files"], {**settings, "data.path": data})
    if path.is_file() and split is None:
        return Request(path.stem, config, path, None)
    return Request(path.stem if path.is_file() else path.resolve().name, config, None, split or "test")


def read_texts(request: Request, names: Sequence[str], about: Mapping[str, Any]) -> LabelledTexts:
    """Read the requested texts for a ticket with these classes and this metadata.

    Raises:
        SettingError: the texts cannot be read, or have labels that the ticket does not know.
    """
    from lt_lightning.data.labelled import read_labelled_file, take_split

    if request.file is not None:
        return read_labelled_file(request.file, request.data, names)
    from lt_lightning.data.corpus import load_corpus

    assert request.split is not None  # corpora have it
    return take_split(load_corpus(request.data), request.split, request.data, names, about)


def _groups() -> list[str]:
    """Return the names of the `data` choices that can be evaluated: not those with a LightningDataModule."""
    files = (Path(config_folder()) / "data").glob("*.yaml")
    return sorted(path.stem for path in files if not path.name.startswith("_") and path.stem != "custom")


def _choices() -> str:
    """Return the remedy for an invalid `data`."""
    from lt_lightning.config.sources import DataKind

    texts = [name for name in _groups() if name not in DataKind.__members__ or not DataKind[name].is_pairs]
    return f"give a file, a folder with train and test, or one of {', '.join(texts)}"


def _settings(words: Sequence[str]) -> dict[str, str]:
    """Return keys and values after checking that each key is known and given once."""
    settings: dict[str, str] = {}
    known = ["data", "split", *(f"data.{key}" for key in _KEYS)]
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise SettingError(f"{word!r} is not a setting; write key=value, such as data=agnews, after one ticket")
        if key.removeprefix("data.") in _THE_TICKETS:
            raise SettingError(f"{key}: the ticket determines it; leave it out")
        if key not in known:
            raise SettingError(f"{key}: no such setting here{_perhaps(key, known)}; choose from {', '.join(known)}")
        if key in settings:
            raise SettingError(f"{key}: it appears twice; give it once")
        settings[key] = value
    return settings


def _check_path(data: str, path: Path) -> None:
    """Raise a `SettingError` unless there is a file or folder to read."""
    if path.is_dir():
        return
    if not path.exists():
        if path.suffix.lower() in ENDINGS or "/" in data:
            raise SettingError(f"data: {data} does not exist; {_choices()}")
        raise SettingError(f"data: there is no {data!r}{_perhaps(data, _groups())}; {_choices()}")
    if not path.is_file():
        raise SettingError(f"data: {data} is a pipe or a device; give a file or a folder")
    if path.suffix.lower() not in ENDINGS:
        raise SettingError(f"data: {data} ends in none of {', '.join(ENDINGS)}; give such a file, or a folder")


def _compose(overrides: Sequence[str], settings: Mapping[str, str]) -> TextConfig:
    """Return the `data` group, composed as in training."""
    from omegaconf import OmegaConf

    from lt_lightning.config.sources import DataKind
    from lt_lightning.config.validation import read_config
    from lt_lightning.experiment.hydra_main import compose_config

    # Paths may have any characters, so they bypass Hydra's grammar.
    paths = {key: settings[key] for key in ("data.path", "data.hub") if key in settings}
    others = [quote(f"{key}={value}") for key, value in settings.items() if key not in paths]
    composed = compose_config([*overrides, *others])
    own = "kind" not in composed.data
    if own or DataKind(composed.data.kind).is_pairs:
        name, content = composed.data.get("name", "custom"), "batches of its own" if own else "pairs of strings"
        raise SettingError(f"data: {name} has {content}, and a ticket classifies texts; give labelled texts")
    for key, path in paths.items():
        OmegaConf.update(composed, key, path, force_add=True)
    config = read_config(composed).data
    if config.label_column is None:
        raise SettingError("data.label_column: null leaves nothing to compare with; name the label column")
    return config


def _perhaps(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""
