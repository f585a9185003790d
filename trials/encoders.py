"""Write folders of small encoders with random weights and a tokenizer, for tests and trials.

torch and transformers are imported late, as `write_tokenizer` needs neither.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

WORDS = ("the", "a", "of", "and", "with", "good", "bad", "film", "cat", "dog", "bread", "cheese", "hammer", "saw")
KINDS = ("bert", "roberta", "distilbert", "electra")
SMALL = {
    "vocab_size": 0, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
    "max_position_embeddings": 64,
}  # fmt: skip
"""The settings of a small encoder; the tokenizer gives the vocabulary."""


def make_pieces(words: Sequence[str] = WORDS) -> Tokenizer:
    """Return a WordPiece tokenizer like BERT's, of some words, and of the letters and digits for all others."""
    letters = string.ascii_lowercase + string.digits + string.punctuation
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *letters, *(f"##{one}" for one in letters)]
    numbers = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def make_bytes() -> Tokenizer:
    """Return a byte-level tokenizer like RoBERTa's, without merges."""
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    pieces = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({piece: number for number, piece in enumerate(pieces)}, [], unk_token="<unk>"))
    tokenizer.add_special_tokens(special)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def write_encoder(folder: Path, kind: str = "bert", *, seed: int = 0, pooler: bool = True, **changes: Any) -> Path:
    """Write `config.json`, `model.safetensors` and `tokenizer.json` of a small encoder, and return the folder.

    Args:
        folder: the folder; it is made.
        kind: one of `KINDS`.
        seed: draws the weights.
        pooler: whether a BERT or a RoBERTa has a pooler.
        changes: settings of the configuration in place of those of `SMALL`.
    """
    import torch
    import transformers

    tokenizer = make_bytes() if kind == "roberta" else make_pieces()
    settings = {**SMALL, "vocab_size": tokenizer.get_vocab_size(), **changes}
    if kind == "roberta":
        settings = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, **settings}
    if kind == "distilbert":
        names = {"hidden_size": "dim", "num_hidden_layers": "n_layers", "num_attention_heads": "n_heads",
                 "intermediate_size": "hidden_dim"}  # fmt: skip
        settings = {names.get(key, key): value for key, value in settings.items()}
    if kind == "electra":
        settings["embedding_size"] = 16
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = transformers.AutoConfig.for_model(kind, **settings)
        more = {"add_pooling_layer": pooler} if kind in ("bert", "roberta") else {}
        network = transformers.MODEL_MAPPING[type(config)](config, **more)
    folder.mkdir(parents=True, exist_ok=True)
    bars = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    network.save_pretrained(folder)
    if bars:
        transformers.utils.logging.enable_progress_bar()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
