"""The tables of characters cut as the `tokenizers` library does, for all of Unicode."""

import tokenizers

from lt_lightning.config.enums import Splitter
from lt_lightning.data.characters import lower_case
from lt_lightning.data.tokenizer import END, cutter, make_tokenizer, span_finder

UNICODE_17 = (0, 23)
"""The version of the library whose letters those of the tables are; older ones leave newer capitals as they are."""
CHARACTERS = [chr(code) for code in (*range(0xD800), *range(0xE000, 0x110000))]


def test_every_character_becomes_what_the_library_makes_of_it() -> None:
    lowered = make_tokenizer([], Splitter.words).normalizer.normalize_str("\n".join(CHARACTERS)).split("\n")
    lowered[10:12] = ["\n"]  # the line break itself
    assert len(lowered) == len(CHARACTERS)
    known = tuple(map(int, tokenizers.__version__.split(".")[:2])) >= UNICODE_17
    for character, theirs in zip(CHARACTERS, lowered, strict=True):
        ours = lower_case(character)
        assert ours == theirs or (not known and theirs == character), hex(ord(character))


def test_every_character_parts_words_as_the_library_does() -> None:
    text = "".join([f"a{lower_case(character)}" for character in CHARACTERS])
    expected = [word for word, _ in make_tokenizer([], Splitter.words).pre_tokenizer.pre_tokenize_str(text)]
    assert [word for word in cutter(Splitter.words)([text]) if word not in ("", END)] == expected
    assert [text[start:end] for start, end in span_finder(Splitter.words)(text)] == expected
