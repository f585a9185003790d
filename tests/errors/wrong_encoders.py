"""Wrong pre-trained encoders: folders, files and settings."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from observing import Case, Kind
from samples import CSV, LOG, fill, make_corpus

from trials.encoders import SMALL, make_pieces

FOLDER = "encoder"


def train(arguments: Sequence[str]) -> None:
    """`python -m lt_lightning.train`, of a single short round."""
    from lt_lightning.experiment.hydra_main import run_hydra
    from lt_lightning.train import task

    small = ["trainer=cpu", "hydra.run.dir=run", "pruning.rounds=0", "trainer.max_epochs=1"]
    with patch.object(sys, "argv", ["lt_lightning.train", *small, *arguments]):
        run_hydra(task)


def train_without_transformers(arguments: Sequence[str]) -> None:
    """The same, where transformers is not installed."""
    with patch("lt_lightning.data.sources.encoders.find_spec", lambda name: None):
        train(arguments)


def _write(folder: Path, **changes: Any) -> None:
    """Write a sound configuration and tokenizer, and weights that are sound but those of no network."""
    import numpy as np
    from safetensors.numpy import save_file

    folder.mkdir()
    tokenizer = make_pieces()
    config = {"model_type": "bert", **SMALL, "vocab_size": tokenizer.get_vocab_size(), "pad_token_id": 0, **changes}
    (folder / "config.json").write_text(json.dumps(config))
    tokenizer.save(str(folder / "tokenizer.json"))
    save_file({"embeddings.word_embeddings.weight": np.zeros((2, 2), np.float32)}, folder / "model.safetensors")


def _case(
    wrong: str,
    change: Callable[[Path], object] | None,
    *names: str,
    settings: Sequence[str] = (),
    given: Sequence[str] = ("model=bert", f"model.path={FOLDER}"),
    config: dict[str, Any] | None = None,
    leaves: Sequence[str] = LOG,
    program: Callable[[Sequence[str]], None] = train,
) -> Case:
    """A folder that was changed, or other settings."""

    def make(folder: Path) -> list[str]:
        _write(folder / FOLDER, **(config or {}))
        if change is not None:
            change(folder / FOLDER)
        corpus = make_corpus(folder, {"train.csv": CSV, "test.csv": CSV})
        return [*(one for one in corpus if not one.startswith("model")), *given, *settings]

    return Case(wrong, make, names, program, tuple(leaves))


def _settings(wrong: str, *names: str, settings: Sequence[str], **more: Any) -> Case:
    return _case(wrong, None, *names, settings=settings, leaves=(), **more)


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"embeddings": [0.0]}))


def _remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _fill(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: fill(folder / name, content)


def _without_ends(folder: Path) -> None:
    """Leave `[CLS]` and `[SEP]` out of the tokenizer."""
    content = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps({**content, "post_processor": None}))


HUB = ("model=bert", "model.hub=own/encoder")
CASES = (
    _case("transformers is not installed", None, "model", "lt-lightning[bert]", program=train_without_transformers),
    _settings("neither a folder nor a repository", "model.path", "missing", "model.hub", settings=(),
              given=("model=bert",)),
    _settings("a folder and a repository", "model.hub", "model.path", settings=("model.hub=own/encoder",)),
    _case("a repository that is not in the cache, offline", None, "model.hub", "own/encoder", "model.path",
          given=HUB),
    _case("no repository", None, "model.hub", "'a b'", "owner/name", given=("model=bert", "model.hub=a b")),
    _case("no such folder", None, "model.path", "nowhere", given=("model=bert", "model.path=nowhere")),
    _case("a file for a folder", None, "model.path", "config.json is not a folder",
          given=("model=bert", f"model.path={FOLDER}/config.json")),
    _case("a folder without `config.json`", _remove("config.json"), "model.path", "no config.json"),
    _case("a folder without a tokenizer", _remove("tokenizer.json"), "model.path", "no tokenizer.json",
          "AutoTokenizer"),
    _case("a folder without weights", _remove("model.safetensors"), "model.path", "no model.safetensors"),
    _case("pickled weights", _pickled, "model.path", "pytorch_model.bin is a pickle", "save_pretrained"),
    _case("a configuration that is cut off", _fill("config.json", b'{"model_type"'), "model.path", "config.json"),
    _case("a configuration without a kind", _fill("config.json", b"{}"), "model.path", "no model_type"),
    _case("a kind that transformers does not know", None, "model.path", "nobert", config={"model_type": "nobert"}),
    _case("weights that are cut off", _fill("model.safetensors", b"\x80\0\0\0\0\0\0\0{"), "model.path",
          "model.safetensors"),
    _case("weights of another network", None, "model.path", "model.safetensors", "different networks"),
    _case("a tokenizer that is none", _fill("tokenizer.json", b"[]"), "model.path", "tokenizer.json"),
    _case("a tokenizer with more pieces than the encoder", None, "model.path", "tokenizer.json", "50 rows",
          config={"vocab_size": 50}),
    _case("the state of `[CLS]` with a tokenizer that puts none before a text", _without_ends, "model.pooling: cls",
          "tokenizer.json", "model.pooling=mean", settings=("model.pooling=cls",)),
    _case("a decoder", None, "model.path", "gpt2, a decoder", "BERT",
          config={"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}),
    _case("a decoder whose file does not tell", None, "model.path", "gpt2", "no encoder", "BERT",
          config={"model_type": "gpt2"}),
    _case("an encoder with a decoder", None, "model.path", "t5", "BERT",
          config={"model_type": "t5", "is_encoder_decoder": True}),
    _case("a network of pictures", None, "model.path", "vit", "does not read text",
          config={"model_type": "vit", "image_size": 224}),
    _case("texts longer than the position table", None, "data.max_length: 65", "64 positions", "data.max_length=64",
          settings=("data.max_length=65",)),
    _case("no place for a piece of a text", None, "data.max_length: 2", "data.max_length=3",
          settings=("data.max_length=2",)),
    _settings("words for a pre-trained encoder", "data.tokenizer: words", "data.tokenizer=model",
              settings=("data.tokenizer=words",)),
    _settings("pieces for a network without a tokenizer", "data.tokenizer: model", "model=cnn",
              settings=("data.tokenizer=model",), given=("model=cnn",)),
    _settings("another embedding", "embedding: not read with model=bert", settings=("embedding=glove_50d",)),
    _settings("the width of an embedding", "embedding.dim: not read with model=bert", settings=("embedding.dim=50",)),
    _settings("the size of a vocabulary", "data.max_vocab: not read with model=bert",
              settings=("data.max_vocab=100",)),
    _settings("a pooling that is none", "model.pooling: max is none of mean, cls, pooler",
              settings=("model.pooling=max",)),
    _settings("a folder for MiniLM, which has one", "model.path: model=minilm does not read it",
              settings=(f"model.path={FOLDER}",), given=("model=minilm",)),
)  # fmt: skip

KIND = Kind(
    17,
    "Pre-trained encoders",
    "Given to `python -m lt_lightning.train model=bert model.path=encoder data=files data.path=corpus`. A folder of an "
    "encoder has `config.json`, `model.safetensors` and `tokenizer.json`; pickled weights are never read.",
    CASES,
)
