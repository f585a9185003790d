"""Convert texts to the ids of the pieces that an encoder reads."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np

from lt_lightning.errors import SettingError
from lt_lightning.storage.sealed import quoted
from lt_lightning.tickets.reading import replace_surrogates


class PieceReader:
    """Split texts into pieces by the tokenizer of a ticket.

    Args:
        tokenizer: JSON of the `tokenizers` library.

    Raises:
        SettingError: it cannot be read, or the library is not installed.
    """

    def __init__(self, tokenizer: str) -> None:
        if find_spec("tokenizers") is None:
            raise SettingError(
                "the ticket has a pre-trained encoder, which needs tokenizers, and that is not installed; "
                'pip install "lt-lightning[onnxruntime]"'
            )
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_str(tokenizer)
        except Exception as error:  # the library raises this type
            raise SettingError(f"the ticket's tokenizer cannot be read ({quoted(error)}); export it again") from error
        self._tokenizer.no_padding()

    @property
    def size(self) -> int:
        """Return the number of pieces in the vocabulary."""
        return self._tokenizer.get_vocab_size()

    def read(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Return the ids of each text, (pieces,) int32; half a surrogate pair is read as U+FFFD.

        Raises:
            SettingError: the tokenizer cannot read a text, such as one that lacks a piece for unknown words.
        """
        try:
            try:
                found = self._tokenizer.encode_batch_fast(texts)
            except (TypeError, UnicodeEncodeError):  # half a surrogate pair is no text to the library
                found = self._tokenizer.encode_batch_fast([replace_surrogates(text) for text in texts])
        except Exception as error:  # the library raises this type
            raise SettingError(
                f"the ticket's tokenizer cannot read a text ({quoted(error)}); export it again"
            ) from error
        return [np.array(one.ids, np.int32) for one in found]
