"""What becomes of each character when a text is cut into words: the Unicode tables of the `tokenizers` library.

Python's own tables differ from version to version, and from these. Numbers are in base 36; `ticket.js` decodes the
same tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

SPACES = "9 5 i 1 2s 1 q 1 4bj 1 1vj b t 2 5 1 1b 1 334 1"
"""White space, in runs of code points: how many to skip, how many there are."""
MARKS = (
    "x f a 7 q 6 q 4 y 1 5 1 3 1 a 2 3 1 3 1 ji 1 8 1 cy 6 15 2 1f 1 1 1 2 1 2 1 18 2 k 2 1 2 d 1 2 2 22 4 2u 1 17 e "
    "6h 3 1i f v 1 79 2 a 1 an 1 lf 1 2i 1 a 2 4o f 1 1 11 4 1z 1 22 5 4 2 33 6 4r 1 h0 9 47 1 h8 2 18 2 26 3 1z 2 4d "
    "3 1 3 11 b 8p 2 60 2 3k 7 1 6 4s 7 4b 4 1n 5 1q 2 1s 8 b 1 n0 o 8 k 1 d 1 c u 2 e 2 hl 4 t 2 u5 e 27 2 v a b7 m "
    "1r 4 w 2 l7 4 1 2 34 1 3z 1b 1 j ce 3 4 a 2 c g 1 c 1 2q 1 2i 1 mwy 2 7h 3 2r 1 a 1 37 6 ak 4 2e 2 14 3 1 1 1d 2 "
    "1b 1 2p d g 2 3g 4 3i 2 g 2 6x 1 g2a 2 5s a m z 1 e 1 1 4 1 1 2 45 3 1 6 1 4 a 2 3 2 q 3 1 1 r 1 1 1 1 7 be 3 ik "
    "1 1c 1 bi 1 kn 1 5j 1 v 1 7k 9 12 1 34 7 1u 7 2h 4 x6 7 31 2 1 4 3i 4 1c 2 27 5 3 1 d 1 1 3 2g 6 2z 1 f0 1 6y n "
    "2x 3 6w 3 2lt 5 dtl 2 3p 1 1t 5 8 1 g2i 1 5wn 5"
)
"""Punctuation, in the same form."""
LOWER = (
    "1t q 1 w 2t n 1 w 1 7 1 w x o 2 1 2 3 2 1 1 8 2 1 1 n 2 1 0 1 1 -3d 0 3 2 1 2 1 1 5u 0 2 2 1 0 1 1 5q 0 1 1 1 1 "
    "2 1 5p 0 1 1 1 2 1 1 27 0 1 1 5m 0 1 1 5n 0 1 1 1 1 1 1 5p 0 1 1 5r 1 1 1 5v 0 1 1 5t 0 1 1 1 3 1 1 5v 0 1 1 5x "
    "1 1 1 5y 0 3 2 1 0 1 1 62 0 1 1 1 1 1 1 62 2 1 1 1 1 1 1 62 0 1 1 1 1 2 1 61 0 2 2 1 0 1 1 63 0 1 1 1 3 1 1 1 7 "
    "1 1 2 0 1 1 1 1 1 1 2 0 1 1 1 1 1 1 2 0 9 2 1 1 9 2 1 1 1 1 2 0 2 2 1 0 1 1 -2p 0 1 1 -1k 0 k 2 1 0 1 1 -3m 1 9 "
    "2 1 6 1 1 8bv 0 1 1 1 1 1 1 -4j 0 1 1 8bs 2 1 1 1 1 1 1 -5f 0 1 1 1x 0 1 1 1z 0 5 2 1 80 2 2 1 2 1 1 1 8 1 1 38 "
    "6 1 1 12 1 3 1 11 1 1 1 1s 1 2 1 1r 1 h 1 w 1 9 1 w z 1 1 8 8 c 2 1 4 1 1 -1o 2 1 1 1 1 1 1 -7 0 1 1 1 2 3 1 -3m "
    "0 g 1 28 0 w 1 w 1c h 2 1 8 r 2 1 0 1 1 f 0 7 2 1 1 1c 2 1 1 12 1 1c 289 12 1 5ls 1 1 1 5ls 5 1 1 5ls k2 28 1 "
    "tzk 0 6 1 8 1oz 1 1 1 6 17 1 -2bk 2 3 1 -2bk 8w 23 2 1 8 1 1 -5vj 1 1c 2 1 8 8 1 -8 8 6 1 -8 a 8 1 -8 8 8 1 -8 8 "
    "6 1 -8 b 4 2 -8 7 8 1 -8 o 8 1 -8 8 8 1 -8 8 8 1 -8 8 2 1 -8 0 2 1 -22 0 1 1 -9 b 4 1 -2e 0 1 1 -9 b 2 1 -8 0 2 "
    "1 -2s c 2 1 -8 0 2 1 -34 0 1 1 -7 b 2 1 -3k 0 2 1 -3i 0 1 1 -9 89 1 1 -5st 3 1 1 -6gv 0 1 1 -6di 6 1 1 s 19 g 1 "
    "g j 1 1 1 mq q 1 q 1f4 1c 1 1c 1c 1 1 1 1 1 1 -8af 0 1 1 -2xy 0 1 1 -89z 2 3 2 1 0 1 1 -8bg 0 1 1 -8al 0 1 1 "
    "-8bj 0 1 1 -8bi 1 1 1 1 2 1 1 1 8 2 1 -8cf 0 1e 2 1 7 2 2 1 3 1 1 1 nyl n 2 1 i e 2 1 3q 7 2 1 2 v 2 1 9 2 2 1 0 "
    "1 1 -r9g 0 5 2 1 3 1 1 1 1 1 1 -wmg 2 2 2 1 2 a 2 1 0 1 1 -wn8 0 1 1 -wnj 0 1 1 -wnf 0 1 1 -wn5 0 1 1 -wn8 1 1 1 "
    "-wlu 0 1 1 -wmi 0 1 1 -wlx 0 1 1 ps 0 8 2 1 0 1 1 -1c 0 1 1 -wn7 0 1 1 -raw 0 2 2 1 0 1 1 -wo7 0 8 2 1 0 1 1 "
    "-wu9 o 1 1 1 h7v q 1 w xx 14 1 14 3s 10 1 14 4c b 1 13 1 f 1 13 1 7 1 13 1 2 1 13 1d6 1f 1 1s 4d m 1 w 27u w 1 w "
    "gw0 w 1 w 1s p 1 r o5j y 1 y"
)
"""Capitals: how many code points to skip, how many capitals there are, the step from each to the next, and what to add
to one for its small letter."""


@cache
def replacements() -> dict[str, str]:
    """Return what to put in place of characters before a text is split at spaces.

    White space becomes a space, punctuation stands between spaces, and capitals become small letters.
    """
    spaces = {chr(code): " " for code in _runs(SPACES)}
    marks = {chr(code): f" {chr(code)} " for code in _runs(MARKS)}
    return {**spaces, **marks, **_small_letters()}


def lower_case(text: str) -> str:
    """Return a text with small letters in place of capitals."""
    return "".join([_small_letters().get(letter, letter) for letter in text])


@cache
def _small_letters() -> dict[str, str]:
    small, code = {"İ": "i\u0307"}, 0
    for skip, count, step, add in zip(*[iter(_numbers(LOWER))] * 4, strict=True):
        code += skip
        for _ in range(count):
            small[chr(code)] = chr(code + add)
            code += step
    return small


def _runs(table: str) -> Iterator[int]:
    code = 0
    for skip, count in zip(*[iter(_numbers(table))] * 2, strict=True):
        yield from range(code + skip, code + skip + count)
        code += skip + count


def _numbers(table: str) -> list[int]:
    return [int(number, 36) for number in table.split()]
