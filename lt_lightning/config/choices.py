"""Which choice of a group reads which settings, and which choices fit each other.

Needs neither torch nor Lightning, so that a rejected setting answers at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lt_lightning.config.enums import Splitter
from lt_lightning.config.schema import Config, DataKind, ModelConfig
from lt_lightning.errors import SettingError


def _reads(needed: str, optional: str = "") -> dict[str, bool]:
    """The settings that a choice reads: True where it needs a value, False where it may be null."""
    return dict.fromkeys(needed.split(), True) | dict.fromkeys(optional.split(), False)


_CNN = _reads("dropout filters widths initializer kernel")
_TEXTS = _reads("text_column valid_fraction max_vocab", "label_column class_names limit max_length")
_READ: dict[str, tuple[str, dict[str, dict[str, bool]]]] = {
    "model": (
        "name",
        {
            "cnn": _CNN,
            "binary_cnn": _CNN,
            "multi_cnn": _CNN,
            "birnn": _reads("cell hidden layers backend bidirectional dropout kernel"),
            "tagger": _reads("cell layers backend input head unroll", "hidden"),
            "char_lm": _reads("cell hidden layers backend dropout temperature sample_length", "prompt"),
            "seq2seq": _reads("cell hidden layers backend dropout"),
        },
    ),
    "optimizer": (
        "name",
        {"adam": _reads("betas eps kernel"), "adamw": _reads("betas eps kernel"), "sgd": _reads("momentum")},
    ),
    "data": (
        "kind",
        {
            "texts": _TEXTS | _reads("", "path hub hub_config delimiter test_fraction"),
            "names": _TEXTS | _reads("split_names"),
            "pairs": _reads("pairs", "alphabet"),
            "reversal": _reads("alphabet lengths train_rows test_rows valid_fraction"),
        },
    ),
}
"""Of each group that has several choices the setting that says which one it is, and what each choice reads."""


def check_unread(config: Config) -> None:
    """See that every setting is read, and that none is missing.

    Raises:
        SettingError: naming the first that nothing reads, or that something would.
    """
    for group in _READ:
        check_group(group, vars(getattr(config, group)))


def check_group(group: str, values: Mapping[str, Any]) -> None:
    """The same of one group that has several choices.

    Raises:
        SettingError: naming the first setting that nothing reads, or that something would.
    """
    chooser, choices = _READ[group]
    name = str(getattr(values[chooser], "value", values[chooser]))
    if name not in choices:
        raise SettingError(f"{group}.{chooser}: {name!r} is none of {', '.join(choices)}; choose it with {group}=…")
    choice = f"{group}={name}" if chooser == "name" else f"{group}.{chooser}={name}"
    for key in sorted(set().union(*choices.values())):
        if values[key] is None and choices[name].get(key):
            raise SettingError(f"{group}.{key}: {choice} needs a value")
        if values[key] is not None and key not in choices[name]:
            raise SettingError(f"{group}.{key}: {choice} does not read it; leave it out, or null")


KERNELS = ("fast", "reference")
_CELLS = ("rnn", "gru", "lstm", "gru_chung")
_BACKENDS = ("torch", "equations")


def model_claims(model: ModelConfig) -> Iterator[tuple[str, Any, bool, str]]:
    """What the keys of the networks may be."""
    known = {
        "initializer": ("xavier", "xavier_2d"),
        "kernel": KERNELS,
        "cell": (*_CELLS, "none") if model.name == "tagger" else _CELLS,
        "backend": _BACKENDS,
        "input": ("onehot", "embedding"),
        "head": ("direct", "linear"),
        "unroll": ("steps", "sequence"),
    }
    for key, values in known.items():
        value = getattr(model, key)
        yield f"model.{key}", value, value in (None, *values), f"none of {', '.join(values)}"
    only_ours = model.cell == "gru_chung" and model.backend == "torch"
    yield "model.backend", model.backend, not only_ours, "without gru_chung; use model.backend=equations"
    flat = model.cell != "none" or model.layers in (None, 1)
    yield "model.layers", model.layers, flat, "too many for model.cell=none, which has one"


def fit_claims(config: Config) -> Iterator[tuple[str, Any, bool, str]]:
    """Whether the model is for such data, and the data's splitter and vectors for each other."""
    data, model, embedding = config.data, config.model, config.embedding
    pairs = data.kind.is_pairs
    of_pairs = model.name in ("tagger", "seq2seq")
    remedy = "use model=tagger or model=seq2seq" if pairs else "use data=pairs or data=reversal"
    what = "reads texts, the data is pairs of strings" if pairs else "answers strings with strings, the data is texts"
    yield "model", None, pairs == of_pairs, f"{model.name} {what}; {remedy}"
    unlabelled = not pairs and data.label_column is None
    needs_labels = unlabelled and model.name != "char_lm"
    yield "data.label_column", None, not needs_labels, f"missing: model={model.name} learns to tell labels apart"
    letters = data.tokenizer is Splitter.letters
    needed = model.name == "char_lm" or pairs or data.kind is DataKind.names
    yield (
        "data.tokenizer",
        data.tokenizer.value,
        letters or not needed,
        f"not what {'model=char_lm' if model.name == 'char_lm' else f'data.kind={data.kind.value}'} reads; "
        "use data.tokenizer=letters",
    )
    wordless = letters and embedding.name != "random"
    yield (
        "embedding",
        None,
        not wordless,
        f"{embedding.name} has vectors of words, the data is read letter by letter; use embedding=random",
    )


def check_model(model: ModelConfig, classes: int, words: int) -> None:
    """See that the network is for so many classes, and so many letters.

    Raises:
        SettingError: if it is for two classes and there are more, or the reverse; if a direct head has other states
            than the letters.
    """
    if model.name == "binary_cnn" and classes != 2:
        raise SettingError(f"model: binary_cnn tells two classes apart, the data has {classes}; use model=multi_cnn")
    if model.name == "multi_cnn" and classes == 2:
        raise SettingError("model: multi_cnn is for more than two classes, the data has 2; use model=binary_cnn")
    if model.head == "direct" and model.hidden not in (None, words):
        raise SettingError(
            f"model.hidden: {model.hidden} states for {words} letters; with model.head=direct a state is a letter's "
            "logit: leave it null, or use model.head=linear"
        )
