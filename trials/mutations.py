"""Damage files: bytes, values of a JSON text, cells of a table; with or without a new checksum.

Every function takes the content and a random generator, and returns the damaged content; the same generator gives the
same damage.
"""

import json
import re
import struct
from collections.abc import Callable, Mapping
from hashlib import blake2b, sha256
from random import Random
from types import MappingProxyType
from typing import Any

from lt_lightning.storage.sealed_json import seal_json

Mutation = Callable[[bytes, Random], bytes]

# Numbers that readers may mishandle: the limits of integers, and safetensors' longest header.
_NUMBERS = (0, 1, 7, 8, 255, 2**31 - 1, 2**31, 2**32, 2**53, 10**8, 10**8 + 1, 2**63 - 1, 2**63, 2**64 - 1)
_BYTES = (
    b"", b"\0", b"\n", b"\r", b'"', b",", b"{", b"}", b"[", b"\\", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"-",
    b"nan",
)  # fmt: skip
_VALUES = (
    None, True, False, 0, -1, 1, 2**63, 10**400, -0.0, 0.5, 1e308, float("inf"), float("nan"), "", "\0", "\n", "\ud800",
    "a" * 3000, "1e999", [], {}, [[]], [None], {"": None}, {"name": []}, ["a", 1], "2026-11-21T21:00:00+00:00",
)  # fmt: skip
_RAW = (
    "9" * 5000,
    "[" * 5000 + "]" * 5000,
    '{"a":' * 3000 + "1" + "}" * 3000,
    "-",
    "1e9999",
    '{"a":1,"a":2}',
    "\ufeff",
)
_CELLS = (
    "", " ", "-1", "0", "1", "1_000", " 5 ", "٣", "1e3", "1e400", "nan", "-inf", "9" * 400, "9" * 5000, "1" + "0" * 18,
    "x", "0x0", "-3x4", "scalar", "True", '"', "\0", "\r", "a" * 3000, "1e-320", "-0.0", "\N{FULLWIDTH DIGIT ONE}",
)  # fmt: skip
_FORMATS = {"F32": "<f", "F16": "<e", "I64": "<q", "I32": "<i", "BOOL": "B", "U8": "B"}
_SPECIAL = {
    "F32": (float("nan"), float("inf"), -float("inf"), 3e38, -1.0, 1e-45, -0.0),
    "F16": (float("nan"), float("inf"), 6e4), "I64": (-1, 0, 1, 2**62), "I32": (-1, 0, 1, 2**31 - 1),
    "BOOL": (0, 1, 2, 255), "U8": (0, 1, 127, 128, 255),
}  # fmt: skip
_SIZES = (0, 1, 2, 7, 100, 5000, 2**16, 2**20, 2**24, 2**31, 2**40)
_BLANK = "0" * 64
_SEAL = re.compile(rb'sha256\\":\\"([0-9a-f]{64})')


def _cut_point(data: bytes, chance: Random) -> int:
    return chance.randrange(len(data) + 1)


def _part(data: bytes, chance: Random) -> tuple[int, int]:
    start = _cut_point(data, chance)
    return start, min(len(data), start + chance.choice((1, 2, 8, 64, 512)))


def flip(data: bytes, chance: Random) -> bytes:
    """Flip one to eight bits."""
    damaged = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8)) if data else 0):
        damaged[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def cut(data: bytes, chance: Random) -> bytes:
    """Remove everything after some place, or before it."""
    at = _cut_point(data, chance)
    return data[at:] if chance.random() < 0.2 else data[:at]


def insert(data: bytes, chance: Random) -> bytes:
    """Insert a few bytes, random ones or some with a meaning."""
    at = _cut_point(data, chance)
    more = chance.choice(_BYTES) if chance.random() < 0.6 else chance.randbytes(chance.choice((1, 8, 100)))
    return data[:at] + more + data[at:]


def remove(data: bytes, chance: Random) -> bytes:
    """Remove a part."""
    start, end = _part(data, chance)
    return data[:start] + data[end:]


def repeat(data: bytes, chance: Random) -> bytes:
    """Repeat a part, there or elsewhere."""
    start, end = _part(data, chance)
    at = chance.choice((end, _cut_point(data, chance)))
    return data[:at] + data[start:end] * chance.choice((1, 1, 50)) + data[at:]


def swap(data: bytes, chance: Random) -> bytes:
    """Swap two neighbouring parts."""
    start, end = _part(data, chance)
    further = min(len(data), end + chance.choice((1, 8, 64)))
    return data[:start] + data[end:further] + data[start:end] + data[further:]


def overwrite(data: bytes, chance: Random) -> bytes:
    """Overwrite eight bytes with a special number, often the first eight: the length of a safetensors header."""
    at = 0 if chance.random() < 0.5 else _cut_point(data, chance)
    return data[:at] + chance.choice(_NUMBERS).to_bytes(8, "little") + data[at + 8 :]


def change_json(data: bytes, chance: Random) -> bytes:
    """Change, rename or remove one place of a JSON text."""
    return _changed(json.loads(data), chance).encode(errors="surrogatepass")


def change_cell(data: bytes, chance: Random) -> bytes:
    """Change a cell of a table or of its heading, or shuffle the rows."""
    rows = [line.split(",") for line in data.decode().splitlines()]
    if chance.random() < 0.15:
        chance.shuffle(rows)
    else:
        row = chance.choice(rows)
        row[chance.randrange(len(row))] = chance.choice(_CELLS)
    return "".join(",".join(row) + "\n" for row in rows).encode()


def change_header(data: bytes, chance: Random) -> bytes:
    """Change a value in the header of a safetensors file, or in the JSON text within it; the length fits."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    if chance.random() < 0.5:
        kept = header["__metadata__"]
        name = chance.choice(list(kept))
        kept[name] = _changed(json.loads(kept[name]) if kept[name].startswith("{") else kept[name], chance)
        text = _dump(header)
    else:
        text = _changed(header, chance)
    changed = text.encode(errors="surrogatepass")
    return len(changed).to_bytes(8, "little") + changed + data[end:]


def change_number(data: bytes, chance: Random) -> bytes:
    """Change an entry of a safetensors file's tensors to NaN, an extreme, or an invalid boolean."""
    start = 8 + int.from_bytes(data[:8], "little")
    entries = json.loads(data[8:start])
    entries.pop("__metadata__", None)
    entry = chance.choice([entry for entry in entries.values() if entry["data_offsets"][0] < entry["data_offsets"][1]])
    packed = [struct.pack(_FORMATS[entry["dtype"]], value) for value in _SPECIAL[entry["dtype"]]]
    new = chance.choice(packed)
    first, last = entry["data_offsets"]
    at = start + first + len(new) * chance.randrange((last - first) // len(new))
    return data[:at] + new + data[at + len(new) :]


def stretch(data: bytes, chance: Random) -> bytes:
    """Change a size of a packed ticket of a convolution in its settings and in the shapes of its parameters."""
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    about = json.loads(header["__metadata__"]["lt_lightning"])
    size, what = chance.choice(_SIZES), chance.choice(("width", "words", "embedding_dim"))
    shapes = {name: parameter["shape"] for name, parameter in about["parameters"].items()}
    if what == "width":
        place = chance.randrange(len(about["model"]["widths"]))
        about["model"]["widths"][place] = shapes[f"convs.{place}.weight"][2] = size
    else:
        about[what] = size
        shapes["embedding.weight"][0 if what == "words" else 1] = size
        for name in shapes if what == "embedding_dim" else ():
            if name.startswith("convs.") and len(shapes[name]) == 3:
                shapes[name][1] = size
    header["__metadata__"]["lt_lightning"] = _dump(about)
    text = _dump(header).encode()
    return len(text).to_bytes(8, "little") + text + data[start:]


def sealed_anew(mutation: Mutation) -> Mutation:
    """Return the mutation followed by a new seal that fits, to reach the checks behind it."""

    def mutate(data: bytes, chance: Random) -> bytes:
        damaged = mutation(data, chance)
        found = _SEAL.search(damaged)
        if found is None:
            return damaged
        start, end = found.span(1)
        blank = damaged[:start] + _BLANK.encode() + damaged[end:]
        return damaged[:start] + sha256(blank).hexdigest().encode() + damaged[end:]

    return mutate


def digested_anew(mutation: Mutation) -> Mutation:
    """Return the mutation followed by a new digest that fits, to reach the checks behind it."""

    def mutate(data: bytes, chance: Random) -> bytes:
        damaged = mutation(data, chance)
        digest = cache_digest(damaged)
        return damaged if digest is None else re.sub(rb'"digest": "[0-9a-f]{64}"', b'"digest": "%s"' % digest, damaged)

    return mutate


def cache_digest(data: bytes) -> bytes | None:
    """Return the digest that fits the arrays of a cache, in hexadecimal; None for a file without one."""
    start = 8 + int.from_bytes(data[:8], "little")
    head, found = re.subn(rb'("digest": ")[0-9a-f]{64}"', rb'\g<1>%s"' % _BLANK.encode(), data[:start])
    try:
        places = [entry["data_offsets"] for name, entry in json.loads(head[8:]).items() if name != "__metadata__"]
        whole = blake2b(head, digest_size=32)
        for first, last in places if found == 1 else ():
            whole.update(blake2b(data[start + first : start + last], digest_size=32).digest())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return whole.hexdigest().encode() if found == 1 else None


def sealed_json_anew(data: bytes, chance: Random) -> bytes:
    """Change one place of a JSON object with a checksum, and update the checksum."""
    text = change_json(data, chance)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(content, dict):
        return text
    content.pop("sha256", None)
    return seal_json(content)


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _changed(value: Any, chance: Random) -> str:
    """Return a JSON text with one place changed, which may be the whole."""
    mark = "\0raw\0"
    raw, plain = chance.choice(_RAW), chance.choice(_VALUES)
    new = mark if chance.random() < 0.2 else plain
    places = list(_places(value))
    holder, key = chance.choice(places) if places else (None, None)
    how = chance.random()
    if holder is None or how < 0.02:
        value = new
    elif how < 0.7:
        holder[key] = new
    elif how < 0.85:
        del holder[key]
    elif isinstance(holder, dict):
        holder[chance.choice(("", "\ud800", "name", "__metadata__", "mask/", "a" * 300))] = holder.pop(key)
    else:
        holder *= 30
    return _dump(value).replace(_dump(mark), raw)


def _places(value: Any) -> Any:
    """Yield every container with each of its keys or indices."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


BYTEWISE: Mapping[str, Mutation] = MappingProxyType(
    {mutation.__name__: mutation for mutation in (flip, cut, insert, remove, repeat, swap, overwrite)}
)
"""The mutations of any file."""
