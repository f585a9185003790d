"""Letters: which make an alphabet, and how they are shown on one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lt_lightning.data.sources.pairs import check_alphabet, is_surrogate, name_letter, show


@given(st.sets(st.characters(), min_size=2).map("".join))
def test_different_letters_make_an_alphabet_but_for_halves_of_characters(alphabet):
    if any("\ud800" <= letter <= "\udfff" for letter in alphabet):
        with pytest.raises(ValueError, match=r"data.alphabet: .*half a character"):
            check_alphabet(alphabet)
    else:
        check_alphabet(alphabet)


@pytest.mark.parametrize(
    ("alphabet", "words"),
    [
        ("", ["it is empty"]),
        ("a", ["'a' is a single letter"]),
        ("aba", ["'a' is in 'aba' twice"]),
        ("a\n\n", [r"'\n' is in 'a\n\n' twice"]),
        ("a\udc80", [r"'\udc80' is half a character"]),
    ],
)
def test_what_is_no_alphabet_is_refused_with_the_remedy(alphabet, words, refused):
    with refused("data.alphabet: ", *words):
        check_alphabet(alphabet)


@given(st.text(max_size=200))
def test_a_string_is_shown_on_one_line_that_can_be_printed(text):
    shown = show(text)
    assert shown.isprintable()
    assert shown.encode()
    assert len(shown) <= 10 * 40 + 3  # each of forty characters takes ten at most


def test_every_character_has_a_name_of_its_own_that_can_be_seen():
    letters = [chr(code) for code in range(0x10000) if not is_surrogate(chr(code))]  # of the first plane: it is quick
    names = list(map(name_letter, letters))
    assert len(set(names)) == len(names)
    assert all(name.isprintable() and name.strip() for name in names)
    assert names[ord("a")] == "a"
    assert names[ord(" ")] == "space"
