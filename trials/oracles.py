"""Decide from a file's bytes, without the readers under test, whether it may be read and with which result.

Seals are computed, tensors are decoded by hand, and packed tickets are read by the program in `docs/ticket-format.md`.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from trials.mutations import cache_digest
from trials.watching import require

_DOCUMENT = Path(__file__).parents[1] / "docs/ticket-format.md"
_SEAL = re.compile(rb'\{"__metadata__":\{"lt_lightning":"\{\\"sha256\\":\\"([0-9a-f]{64})\\"')
_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "u1", "BOOL": "?"}


def has_right_seal(data: bytes) -> bool:
    """Return whether a sealed safetensors file has the checksum of its bytes, with zeros in the checksum's place."""
    found = _SEAL.match(data, 8)
    if found is None:
        return False
    start, end = found.span(1)
    return sha256(data[:start] + b"0" * 64 + data[end:]).hexdigest().encode() == found[1]


def has_right_sum(data: bytes) -> bool:
    """Return whether a JSON object ends with the SHA-256 of the rest."""
    try:
        content = json.loads(data)
        claimed = content.pop("sha256")
        text = json.dumps(content)
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return False
    right = sha256(text.encode()).hexdigest()
    return claimed == right and data == f'{text[:-1]}, "sha256": "{right}"}}\n'.encode()


def has_right_digest(data: bytes) -> bool:
    """Return whether a cache has the digest of its arrays."""
    digest = cache_digest(data)
    return digest is not None and b'"digest": "%s"' % digest in data


def decode(data: bytes) -> dict[str, np.ndarray]:
    """Return the tensors of a safetensors file.

    Raises:
        Failure: they lie outside the file, or the header is invalid.
    """
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            require(0 <= first <= last <= len(data) - start, f"{name!a} was read, and lies outside the file")
            require(entry["dtype"] in _TYPES, f"{name!a} was read, and has the type {entry['dtype']!a}")
            values = np.frombuffer(data[start + first : start + last], _TYPES[entry["dtype"]])
            tensors[name] = values.reshape(entry["shape"])
    return tensors


def check_tensors(data: bytes, found: Mapping[str, Any]) -> None:
    """Require that tensors equal those of a safetensors file to the bit."""
    tensors = decode(data)
    require(found.keys() == tensors.keys(), f"the tensors {sorted(found)!a} were read of {sorted(tensors)!a}")
    for name, tensor in found.items():
        same = tensor.numpy().tobytes() == tensors[name].tobytes() and tuple(tensor.shape) == tensors[name].shape
        require(same, f"{name!a} was read with other values than the file has")


def check_round_ticket(data: bytes, ticket: Any, base: Mapping[str, np.ndarray]) -> None:
    """Require that a `RoundTicket` equals its file to the bit, with zeros where its mask has them.

    Args:
        data: the bytes of the file.
        ticket: the ticket that was read.
        base: the tensors of the file that it refers to.
    """
    content, parts = read_content(data), decode(data)
    if content["version"] == "2":
        masks = {f"mask/{name}": alive for name, alive in ticket.mask.items()}
        check_tensors(data, {**ticket.weights, **masks})
    else:
        require(ticket.weights.keys() == content["parameters"].keys(), "other parameters were read")
        prunable = [name for name, one in content["parameters"].items() if one["prunable"]]
        require([*ticket.mask] == prunable, "masks of other parameters were read")
        for name, one in content["parameters"].items():
            alive, weight = _join(name, one, parts, base)
            found = ticket.weights[name].numpy()
            same = found.shape == weight.shape and found.tobytes() == weight.tobytes()
            require(same, f"{name!a} was read with other values than the file has")
            masked = ticket.mask[name].numpy() if name in ticket.mask else np.ones_like(alive)
            require(np.array_equal(masked, alive), f"{name!a} was read with another mask than the file has")
    for name, alive in ticket.mask.items():
        dead = ticket.weights[name].numpy()[~alive.numpy()]
        require(not dead.any(), f"{name!a} was read with pruned entries that are not zero")


def _join(
    name: str, about: Mapping[str, Any], parts: Mapping[str, np.ndarray], base: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mask of a parameter and its weights, entry by entry."""
    shape, values, rows = about["shape"], parts.get(f"values/{name}"), parts.get(f"rows/{name}")
    alive = np.ones(shape, bool)
    for place, byte in enumerate(parts.get(f"mask/{name}", ())):
        for bit in range(min(8, alive.size - 8 * place)):
            alive.flat[8 * place + bit] = byte >> bit & 1
    if values is not None and list(values.shape) == shape:
        return alive, values
    weight = base[name].copy() if about["base"] else np.zeros(shape, parts[f"values/{name}"].dtype)
    stored = iter(() if values is None else values)
    changed = set(range(shape[0] if shape else 1) if rows is None else rows.tolist()) if values is not None else set()
    for place, lives in enumerate(alive.flat):
        row = np.unravel_index(place, shape)[0] if shape else 0
        if not lives:
            weight.flat[place] = 0
        elif row in changed:
            weight.flat[place] = next(stored)
    require(next(stored, None) is None, f"{name!a} was read, and has more values than entries")
    return alive, weight


def read_content(data: bytes) -> dict[str, Any]:
    """Return the plain values of a sealed file."""
    return json.loads(json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]["lt_lightning"])


def check_packed_ticket(data: bytes, packed: Any) -> None:
    """Require that a `Packed` equals what the documented program reads, with finite weights only."""
    about, weights, words = _documented_reader()(data)
    found = dict(zip(packed.words, packed.word_ids.tolist(), strict=True)) | dict.fromkeys(packed.zero_words, 1)
    require(found == words, "other words were read")
    require(weights.keys() == packed.parameters.keys(), "other parameters were read")
    for name, weight in weights.items():
        require(np.array_equal(weight, packed.parameters[name].dense()), f"{name!a} was read with other values")
        require(bool(np.isfinite(weight).all()), f"{name!a} was read with entries that are not finite")
    wrong = [key for key, value in packed.about.items() if repr(about[key]) != repr(value)]
    require(not wrong, f"{wrong} were read with other values than the file has")


def check_probabilities(class_names: list[str], found: np.ndarray) -> None:
    """Require probabilities, a row per text."""
    require(found.shape[1:] == (len(class_names),), f"probabilities of shape {found.shape}")
    require(bool(np.isfinite(found).all()) and bool((abs(found.sum(axis=1) - 1) < 1e-4).all()), "no probabilities")


def check_round(data: bytes, played: Any) -> None:
    """Require that the record of a round equals its file."""
    content = {"masks": [], **json.loads(data)}  # older records lack it
    said = json.loads(json.dumps(asdict(played)))
    wrong = [key for key, value in said.items() if repr(_given(content.get(key))) != repr(_given(value))]
    require(not wrong, f"{wrong} were read with other values than the file has")


def _given(value: Any) -> Any:
    """Return a value of JSON without keys that hold null or an empty object, which older files lack."""
    if isinstance(value, dict):
        return {key: _given(one) for key, one in value.items() if one is not None and one != {}}
    return [_given(one) for one in value] if isinstance(value, list) else value


def check_rows(data: bytes, rows: list[Any]) -> None:
    """Require that the records of a table equal the rows of its file."""
    lines = list(csv.DictReader(io.StringIO(data.decode(errors="surrogatepass"), newline="")))
    require(len(lines) == len(rows), f"{len(rows)} rows were read of {len(lines)}")
    for line, row in zip(lines, rows, strict=True):
        for key, value in vars(row).items():
            if isinstance(value, int | float):
                require(repr(type(value)(line[key])) == repr(value), f"{key} was read as {value}, not {line[key]!a}")
            elif isinstance(value, str):
                require(value == line[key], f"{key} was read as {value!a}, not {line[key]!a}")


def _agrees(found: Any, content: Any) -> bool:
    """Return whether each value that was read is the file's, or None."""
    if isinstance(found, dict):
        given = content if isinstance(content, dict) else {}
        return all(_agrees(one, given.get(key)) for key, one in found.items())
    if isinstance(found, list) and isinstance(content, list) and len(found) == len(content):
        return all(map(_agrees, found, content))
    is_same_number = type(content) is int and type(found) is float and found == content
    return found is None or repr(found) == repr(content) or is_same_number


def check_description(data: bytes, run: Any) -> None:
    """Require that `run.json` was read as Python's JSON reader reads it, and reported if it was changed."""
    content = json.loads(data)
    is_sealed, seal = "sha256" in content, content.pop("sha256", None)
    found = run.description.to_json()
    require(found["task"] in (content.get("task"), "classification"), "run.json was read with another task")
    require(_agrees({**found, "task": None}, content), "run.json was read with other values than the file has")
    is_right = seal == _digest(content) if is_sealed else content.get("format") in (None, 1)
    is_named = any("run.json: changed since it was written" in line for line in run.damages)
    require(is_named or is_right, "a changed run.json was read without a warning")
    require(not (is_named and is_right), "an unchanged run.json was reported as changed")


def _digest(content: Any) -> str:
    return sha256(json.dumps(content).encode()).hexdigest()


@cache
def _documented_reader() -> Callable[[bytes], Any]:
    (program,) = re.findall(r"```python\n(import json, zlib\n.*?)```", _DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(program.replace('open(path, "rb").read()', "path"), names)
    return names["read"]
