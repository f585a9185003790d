"""Pieces: an encoder's own ids, kept once, in batches like those of words."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from lt_lightning.config.encoders import Bert
from lt_lightning.config.sources import Texts
from lt_lightning.data.corpus import make_corpus
from lt_lightning.data.module import TextDataModule
from lt_lightning.data.pieces import read_pieces
from lt_lightning.data.sources.encoders import EncoderFiles, find_encoder
from lt_lightning.errors import SettingError
from trials.encoders import SMALL, make_bytes, make_pieces

TEXTS = ["the good film", "", "a zeppelin " * 30, "cat, dog & bread!", "naïve 🙂 text\nwith [SEP] and [PAD]"]


def rows(texts: list[str]) -> datasets.Dataset:
    return datasets.Dataset.from_dict({"text": texts})


def files(folder: Path, kind: str = "bert", **changes: object) -> EncoderFiles:
    """The files of an encoder, all but its weights."""
    tokenizer = make_bytes() if kind == "roberta" else make_pieces()
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"model_type": kind, **SMALL, "vocab_size": tokenizer.get_vocab_size(), **changes}
    return EncoderFiles("small", str(folder), "model.path", folder, config, has_weights=False)


@pytest.mark.parametrize("kind", ["bert", "roberta"])
@pytest.mark.parametrize("most", [None, 3, 12])
def test_pieces_are_what_the_tokenizer_says_of_each_text_alone(tmp_path, kind, most):
    tokenizer = files(tmp_path, kind).read_tokenizer(most)
    found = read_pieces(rows(TEXTS), tokenizer, tmp_path)
    own = make_bytes() if kind == "roberta" else make_pieces()
    first, last = own.encode("").ids
    for row, text in enumerate(TEXTS):
        ids = found.ids[found.offsets[row] : found.offsets[row + 1]].tolist()
        inside = own.encode(text, add_special_tokens=False).ids
        assert ids == [first, *(inside if most is None else inside[: most - 2]), last]


def test_a_file_that_pads_and_cuts_on_its_own_does_neither(tmp_path):
    encoder = files(tmp_path)
    tokenizer = make_pieces()
    tokenizer.enable_padding(length=128)
    tokenizer.enable_truncation(4)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    found = read_pieces(rows(TEXTS), encoder.read_tokenizer(20), tmp_path)
    assert np.diff(found.offsets).tolist() == [min(20, len(make_pieces().encode(text).ids)) for text in TEXTS]


def test_pieces_are_kept_by_texts_tokenizer_and_length(tmp_path, monkeypatch):
    encoder = files(tmp_path)
    first = read_pieces(rows(TEXTS), encoder.read_tokenizer(9), tmp_path)
    (kept,) = tmp_path.glob("pieces-*")
    monkeypatch.setattr("lt_lightning.data.pieces.text_batches", lambda _: pytest.fail("split again"))
    again = read_pieces(rows(TEXTS), encoder.read_tokenizer(9), tmp_path)
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    monkeypatch.undo()
    read_pieces(rows(TEXTS), encoder.read_tokenizer(8), tmp_path)
    read_pieces(rows([*TEXTS, "more"]), encoder.read_tokenizer(9), tmp_path)
    assert len([*tmp_path.glob("pieces-*")]) == 3
    kept.write_bytes(kept.read_bytes()[:-3])
    mended = read_pieces(rows(TEXTS), encoder.read_tokenizer(9), tmp_path)
    assert np.array_equal(mended.ids, first.ids)


def test_ids_above_the_size_of_a_vocabulary_with_gaps_are_kept(tmp_path, caplog):
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "the": 3, "film": 90}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    first = read_pieces(rows(["the film", "good"]), tokenizer, tmp_path)
    again = read_pieces(rows(["the film", "good"]), tokenizer, tmp_path)
    assert first.ids.tolist() == again.ids.tolist() == [3, 90, 0]
    assert not [one for one in caplog.records if one.name.startswith("lt_lightning")]  # the cache is sound


def test_the_first_piece_is_pooled_only_where_it_is_not_one_of_the_text(tmp_path):
    encoder = files(tmp_path)
    for pooling in ("mean", "cls", "pooler"):
        assert encoder.read_tokenizer(8, pooling).encode("a").ids[0] == 2
    tokenizer = make_pieces()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A [SEP]", special_tokens=[("[SEP]", 3)])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert encoder.read_tokenizer(8).encode("a").ids[1:] == [3]
    for pooling in ("cls", "pooler"):
        with pytest.raises(SettingError, match=rf"model\.pooling: {pooling} reads .* puts none there"):
            encoder.read_tokenizer(8, pooling)


def test_rows_are_filled_with_an_id_that_the_encoder_has(tmp_path):
    assert files(tmp_path, pad_token_id=4).padding == 4
    for wrong in (-1, 10_000, None, "0"):
        assert files(tmp_path, pad_token_id=wrong).padding == 0
    assert files(tmp_path, "roberta", pad_token_id=None).padding == 1


def test_a_run_whose_repository_is_out_of_reach_goes_on_with_what_it_keeps(tmp_path, monkeypatch):
    pytest.importorskip("transformers")

    def fetch(repo: str, names: tuple[str, ...], setting: str, remedy: str) -> Path:
        raise SettingError(f"{setting}: {repo} is not in the cache, and the Hub is out of reach; {remedy}")

    monkeypatch.setattr("lt_lightning.data.sources.hub.fetch_files", fetch)
    run = tmp_path / "run"
    run.mkdir()
    with pytest.raises(SettingError, match=r"model\.hub: own/encoder is not in the cache"):
        find_encoder(Bert(hub="own/encoder"), [run])
    sound = files(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(sound.config))
    sound.keep(run)
    found = find_encoder(Bert(hub="own/encoder"), [run])
    assert (found.name, found.has_weights, found.config) == ("own/encoder", False, sound.config)
    assert found.source == "Hugging Face Hub, own/encoder"


@pytest.fixture
def module(tmp_path: Path) -> Callable[..., TextDataModule]:
    def module(**changes: object) -> TextDataModule:
        texts = [f"the {('good', 'bad')[n % 2]} film " * (1 + n % 7) for n in range(40)]
        split = datasets.Dataset.from_dict({"text": texts, "label": [n % 2 for n in range(40)]})
        config = Texts(batch_size=4, valid_fraction=0.25, **changes)  # pyright: ignore[reportArgumentType]
        corpus = make_corpus(config, "memory", {"train": split, "test": split})
        return TextDataModule(corpus, config, None, 0, encoder=files(tmp_path))

    return module


def test_batches_hold_pieces_of_texts_of_like_lengths(module):
    data = module()
    assert (len(data.words), data.words[:4]) == (len(make_pieces().get_vocab()), ["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    assert data.rows == {"train": 30, "valid": 10, "test": 40}
    longest = 0
    for batch in data.train_dataloader():
        assert batch.ids.shape[1] == batch.lengths.max()
        assert (batch.ids[:, 0] == 2).all()
        assert (batch.ids[torch.arange(len(batch.ids)), batch.lengths - 1] == 3).all()
        assert batch.global_words == batch.lengths.sum()
        longest = max(longest, int(batch.lengths.max()))
    assert longest == 2 + 3 * 7


def test_null_keeps_as_many_pieces_as_the_encoder_has_positions_for(module):
    assert module().max_length == 64
    assert module(max_length=5).max_length == 5
    assert int(module(max_length=5).texts["train"].lengths.max()) == 5
    with pytest.raises(SettingError, match=r"data\.max_length: 65 is more than the 64 positions that small has"):
        module(max_length=65)


def test_roberta_leaves_two_positions_unused(tmp_path):
    assert files(tmp_path, "roberta", pad_token_id=1).places == 62
    assert files(tmp_path, "roberta", pad_token_id=1, max_position_embeddings=514).places == 512
    assert files(tmp_path).places == 64


def test_an_encoder_is_looked_for_before_torch_is_there(tmp_path):
    """And says what it lacks in a second."""
    import subprocess
    import sys

    code = (
        "import sys\n"
        "from lt_lightning.config.encoders import Bert\n"
        "from lt_lightning.data.sources.encoders import find_encoder\n"
        "try: find_encoder(Bert(path='.'))\n"
        "except Exception as error: print(error)\n"
        "print({'torch', 'transformers', 'pytorch_lightning'} & {*sys.modules})\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert ran.stdout.splitlines()[-1] == "set()", ran.stdout


def test_the_hub_is_asked_for_the_configuration_before_the_weights(tmp_path, monkeypatch, caplog):
    pytest.importorskip("transformers")
    asked: list[tuple[str, ...]] = []

    def fetch(repo: str, names: tuple[str, ...], setting: str, remedy: str) -> Path:
        asked.append(tuple(names))
        (tmp_path / "config.json").write_text('{"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}')
        return tmp_path

    monkeypatch.setattr("lt_lightning.data.sources.hub.fetch_files", fetch)
    with caplog.at_level(logging.INFO), pytest.raises(SettingError, match=r"model\.hub: .* is of gpt2, a decoder"):
        find_encoder(Bert(hub="own/encoder"))
    assert asked == [("config.json",)]
