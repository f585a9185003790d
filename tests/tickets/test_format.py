"""A packed ticket reads back as it was written, by us and by what the document says; what does not fit is refused."""

import json
import re
import tracemalloc
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packing import CNN, RNN, make_packed
from safetensors.numpy import load_file, save

from lt_lightning.errors import SettingError
from lt_lightning.storage.sealed import seal
from lt_lightning.tickets import Ticket
from lt_lightning.tickets.file import FORMAT, VERSION, Packed
from lt_lightning.tickets.header import expected_shapes
from lt_lightning.tickets.parameters import Parameter
from lt_lightning.tickets.places import unpack
from trials.mutations import BYTEWISE, change_header, sealed_anew

DOCUMENT = Path(__file__).parents[2] / "docs" / "ticket-format.md"


def same(one: Packed, other: Packed) -> bool:
    assert one.about == other.about
    assert one.words == other.words
    np.testing.assert_array_equal(one.word_ids, other.word_ids)
    assert one.parameters.keys() == other.parameters.keys()
    for name, parameter in one.parameters.items():
        theirs = other.parameters[name]
        assert (parameter.shape, parameter.prunable) == (theirs.shape, theirs.prunable)
        assert parameter.values.dtype == theirs.values.dtype
        np.testing.assert_array_equal(parameter.values, theirs.values)
        assert (parameter.places is None) == (theirs.places is None)
        np.testing.assert_array_equal(parameter.dense(), theirs.dense())
    assert (one.first is None) == (other.first is None)
    for name, values in (one.first or {}).items():
        assert other.first is not None
        np.testing.assert_array_equal(values, other.first[name])
    return True


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.sampled_from([CNN, RNN]),
    st.integers(3, 40),
    st.integers(2, 4),
    st.floats(0, 1),
    st.booleans(),
    st.booleans(),
    st.integers(0, 99),
)
def test_what_is_written_is_read(tmp_path, model, words, classes, density, unknown, first, seed):
    packed = make_packed(model, words=words, classes=classes, density=density, unknown=unknown, first=first, seed=seed)
    path = tmp_path / "ticket.safetensors"
    mark = packed.save(path)
    loaded = Packed.load(path)
    assert same(packed, loaded)
    assert loaded.seal == mark
    assert packed.save(tmp_path / "again.safetensors") == mark


@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize("density", [0.02, 0.4, 1.0])
@pytest.mark.parametrize(("zero_words", "bits"), [((), None), (("zero", "nought"), 8), (("naïve", "naïf"), 4)])
def test_the_document_s_program_reads_the_same(density, unknown, zero_words, bits, tmp_path):
    packed = replace(make_packed(RNN, words=300, density=density, unknown=unknown), zero_words=zero_words)
    if bits is not None:
        packed = replace(packed, parameters={name: one.rounded(bits) for name, one in packed.parameters.items()})
    path = tmp_path / "ticket.safetensors"
    packed.save(path)
    program = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)[0]
    names: dict[str, Any] = {}
    exec(program.replace('open(path, "rb").read()', "__import__('pathlib').Path(path).read_bytes()"), names)
    about, weights, words = names["read"](path)
    assert about["class_names"] == packed.about["class_names"]
    assert words == dict(zip(packed.words, packed.word_ids.tolist(), strict=True)) | dict.fromkeys(zero_words, 1)
    assert weights.keys() == packed.parameters.keys()
    for name, weight in weights.items():
        np.testing.assert_array_equal(weight, packed.parameters[name].dense())


def test_a_dead_row_takes_no_room(tmp_path):
    packed = make_packed(words=5000, dim=50, density=0.002)
    path = tmp_path / "ticket.safetensors"
    packed.save(path)
    held = load_file(path)
    living = {name: parameter.values.nbytes for name, parameter in packed.parameters.items()}
    assert {name: held[name].nbytes for name in living} == living
    assert "w3" not in packed.words or 3 in packed.word_ids


def test_rounded_weights_stay_of_their_type(tmp_path):
    packed = make_packed()
    halves = {name: replace(one, values=one.values.astype(np.float16)) for name, one in packed.parameters.items()}
    path = tmp_path / "ticket.safetensors"
    replace(packed, parameters=halves).save(path)
    loaded = Packed.load(path)
    assert {one.values.dtype.name for one in loaded.parameters.values()} == {"float16"}
    assert loaded.parameters["fc.bias"].dense().dtype == np.float32


def rewritten(path: Path, arrays: dict[str, np.ndarray | None] | None = None, **said: Any) -> Path:
    """A sound ticket with other arrays and another content, and the seal of that."""
    make_packed(unknown=True).save(path)
    held = load_file(path)
    start = int.from_bytes(path.read_bytes()[:8], "little")
    content = json.loads(json.loads(path.read_bytes()[8 : 8 + start])["__metadata__"]["lt_lightning"])
    del content["sha256"]
    changed = {name: array for name, array in {**held, **(arrays or {})}.items() if array is not None}
    seal(path, save(changed), changed, {**content, **said})
    return path


def bytes_of(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.uint8)


def words(*names: Any) -> np.ndarray:
    return zipped(json.dumps(names).encode())


def zipped(content: bytes) -> np.ndarray:
    return np.frombuffer(zlib.compress(content), np.uint8)


def coded(name: str, bits: int) -> dict[str, Any]:
    """Say that a parameter is rounded to so many bits."""
    stated = {one: parameter.stated for one, parameter in make_packed(unknown=True).parameters.items()}
    return {"parameters": {**stated, name: {**stated[name], "bits": bits}}}


def nested(depth: int) -> Any:
    value: Any = {}
    for _ in range(depth):
        value = [value]
    return value


def ones_with_nan() -> dict[str, np.ndarray]:
    values = {name: np.ones_like(one.values) for name, one in make_packed(unknown=True).parameters.items()}
    values["fc.bias"][1] = np.nan
    return values


@pytest.mark.parametrize(("arrays", "said", "message"), [
    ({"fc.weight": None}, {}, "'fc.weight' has no values"),
    ({"fc.weight": np.ones(3, np.float32)}, {}, "'fc.weight' has values of shape"),
    ({"fc.weight": np.ones(18, np.uint8)}, {}, "'fc.weight' has no values"),
    ({"fc.bias": np.array([1, np.nan, 1], np.float32)}, {}, "not finite"),
    ({"fc.bias": np.ones((3, 1), np.float32)}, {}, "'fc.bias' has values of shape"),
    ({"fc.weight/rice": bytes_of(200)}, {}, "the places of 'fc.weight'"), ({"words": None}, {}, "no words"),
    ({"words": bytes_of(1, 2, 3)}, {}, "words cannot be read"),
    ({"words": np.frombuffer(zlib.compress(b"[" * 100_000), np.uint8)}, {}, "words cannot be read"),
    ({"words": words("a", "b", 3, "d", "e", "f", "g")}, {}, "not a list of words"),
    ({"words": words("a", "a", "c", "d", "e", "f", "g")}, {}, "6 different words for 7 ids"),
    ({"words": words("a")}, {}, "1 different words for 7 ids"),
    ({"words": words("a" * (5 << 20))}, {}, "its 7 words take more than"),
    ({"first/fc.bias": np.ones(3, np.float32)}, {}, "only some parameters"),
    ({"first/fc.bias": np.ones(4, np.float32)}, {}, "not as many first weights"),
    ({}, {"words": 10}, "embedding.weight"), ({}, {"words": "9"}, "its words is '9'"),
    ({}, {"words": -1}, "not an integer in"), ({}, {"words": True}, "not an integer in"),
    ({}, {"words": 1}, "its words is 1, not an integer in [2, "), ({}, {"words": 10**12}, "not an integer in"),
    ({}, {"embedding_dim": 6}, "'embedding.weight' has the shape [9, 5], its settings need [9, 6]"),
    ({}, {"class_names": ["a", "b"]}, "'fc.weight' has the shape"), ({}, {"class_names": "abc"}, "class_names"),
    ({}, {"class_names": ["a"]}, "class_names"),
    ({}, {"class_names": ["a", "b", "a"]}, "two of its class_names are the same"),
    ({}, {"model": {**CNN, "filters": 1 << 24}, "embedding_dim": 1 << 24}, "more than any network has"),
    ({}, {"splitter": "bytes"}, "splitter 'bytes'"), ({}, {"max_length": 0}, "max_length"),
    ({}, {"model": None}, "model None"), ({}, {"model": {**CNN, "name": "char_lm"}}, "model 'char_lm'"),
    ({}, {"model": {**CNN, "widths": [2, 3, 4]}}, "parameters are not those"),
    ({}, {"model": {**CNN, "widths": [3, 3]}}, "'convs.0.weight' has the shape"),
    ({}, {"model": {**CNN, "widths": 3}}, "widths"), ({}, {"model": {**RNN, "cell": "lru"}}, "cell 'lru'"),
    ({}, {"model": {**RNN, "bidirectional": None}}, "bidirectional"),
    ({}, {"model": RNN}, "parameters are not those"),
    ({}, {"model": {**RNN, "layers": 1 << 22}}, "its layers is 4194304, not an integer in [1, 128]"),
    ({}, {"test_acc": float("nan")}, "its header holds nan"),
    ({}, {"rows": {"train": [float("-inf")]}}, "its header holds -inf"),
    ({}, {"rounded_test_acc": 1e300}, "its rounded_test_acc is 1e+300, not a number in [0, 1]"),
    ({}, {"temperature": 0}, "its temperature is 0, not a number in [0.001, 1000]"),
    ({}, {"temperature": "warm"}, "its temperature is 'warm', not a number in"),
    ({"words/prefixes": zipped(b"\0")}, {}, "its 7 words have 1 beginnings"),
    ({"words/prefixes": zipped(bytes([1] + [0] * 6))}, {}, "begin with more letters than the word before has"),
    ({}, coded("fc.bias", 3), "'fc.bias' has weights of 3 bits, not of 8 or 4"),
    ({}, coded("fc.bias", 8), "'fc.bias' has no codes of 8 bits for 3 weights"),
    ({"fc.bias/codes": bytes_of(0, 1)}, coded("fc.bias", 8), "'fc.bias' has no codes of 8 bits for 3 weights"),
    ({"fc.bias/codes": bytes_of(0, 16)}, coded("fc.bias", 4), "'fc.bias' has more codes than weights"),
    ({"fc.bias/codes": bytes_of(0, 1)}, coded("fc.bias", 4), "'fc.bias' has codes without levels"),
    ({"fc.bias/codes": bytes_of(0, 1), "fc.bias/levels": np.ones(1, np.float16)}, coded("fc.bias", 4), "without level"),
    ({"fc.bias/codes": bytes_of(0, 1), "fc.bias/scales": np.ones(2, np.float32)}, coded("fc.bias", 4), "without level"),
    ({"fc.bias/codes": bytes_of(0, 1), "fc.bias/scales": np.array([1e38], np.float32)}, coded("fc.bias", 4),
     "'fc.bias' has values that are not finite"),
    ({"fc.bias/codes": bytes_of(0, 1), "fc.bias/scales": np.array([np.inf], np.float32)}, coded("fc.bias", 4),
     "without level"),
    ({}, {"sparsity": "0.5"}, "its sparsity is '0.5', not a number in [0, 1]"),
    ({}, {"alive": -1}, "its alive is -1, not an integer in [0, "), ({}, {"round": 10**40}, "not an integer in [0, "),
    ({}, {"corpus": "\ud800"}, "half of a surrogate pair"), ({}, {"run": {"\udfff": 1}}, "half of a surrogate pair"),
    ({}, {"class_names": ["a", "b", "\ud800"]}, "half of a surrogate pair"),
    ({"words": words("\ud800", "b", "c", "d", "e", "f", "g")}, {}, "half of a surrogate pair"),
    ({}, {"parameters": nested(20)}, "more than 16 deep"),
    ({"first/" + name: values for name, values in ones_with_nan().items()}, {}, "not all finite"),
    ({}, {"parameters": None}, "parameters are not those"), ({}, {"parameters": {}}, "parameters are not those"),
    ({"zero_words": words("a", 1)}, {}, "its zero_words are not a list of words"),
    ({"zero_words": words("w2")}, {}, "two of its words are the same"),
    ({"zero_words": words("a" * (20 << 20))}, {}, "its zero_words take more than 16,777,216 bytes"),
    ({"zero_words": words("a"), "embedding.weight": np.ones((9, 5), np.float32), "embedding.weight/rice": None,
      "embedding.weight/bits": None}, {}, "its zero_words have a vector"),
], ids=str)  # fmt: skip
def test_a_file_whose_parts_do_not_agree_is_refused_in_a_line(arrays, said, message, tmp_path):
    path = rewritten(tmp_path / "ticket.safetensors", arrays, **said)
    with pytest.raises(SettingError) as caught:
        Packed.load(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: a ticket whose parts do not agree: ")
    assert message in line
    assert "; restore it" in line
    assert "\n" not in line
    assert len(line) < 600 + len(str(path))


def test_a_file_of_another_version_says_which_and_what_to_do(tmp_path):
    path = rewritten(tmp_path / "ticket.safetensors", version="3")
    with pytest.raises(SettingError, match=r"format version '3', this program reads versions '1' and '2'; export it"):
        Packed.load(path)


def test_a_run_cannot_begin_with_the_ticket_of_an_encoder(tmp_path):
    path = rewritten(tmp_path / "ticket.safetensors", encoder={})
    with pytest.raises(SettingError, match="the ticket of a pre-trained encoder, with which no run begins"):
        Packed.load(path)


def test_a_run_s_own_ticket_is_told_how_it_is_packed(tmp_path):
    (tmp_path / "tickets").mkdir()
    path = rewritten(tmp_path / "tickets" / "round_03.safetensors", format="lt-lightning ticket", version="2")
    with pytest.raises(SettingError, match=rf"python -m lt_lightning.export {tmp_path} --round 3"):
        Packed.load(path)
    elsewhere = path.rename(tmp_path / "mine.safetensors")
    with pytest.raises(SettingError, match=r"python -m lt_lightning.export RUN --round N"):
        Packed.load(elsewhere)


def test_the_constants_are_those_of_the_document() -> None:
    assert f"`{FORMAT}`, `{VERSION}`" in DOCUMENT.read_text(encoding="utf-8")


def test_a_parameter_s_dead_entries_are_zero() -> None:
    parameter = Parameter((2, 3), np.array([1.5, -2], np.float32), np.array([1, 5]), prunable=True)
    np.testing.assert_array_equal(parameter.dense(), [[0, 1.5, 0], [0, 0, -2]])


def test_a_file_that_does_not_say_how_much_of_a_text_counts_is_refused(tmp_path):
    packed = make_packed()
    about = {key: value for key, value in packed.about.items() if key != "max_length"}
    path = tmp_path / "ticket.safetensors"
    replace(packed, about=about).save(path)
    with pytest.raises(SettingError, match="it has no max_length"):
        Ticket.load(path)


def hollow(model: dict[str, Any], **about: Any) -> Packed:
    said = {**make_packed(model).about, **about}
    dead = np.empty(0, np.int64)
    parameters = {
        name: Parameter(shape, np.empty(0, np.float32), dead, prunable=True)
        for name, shape in expected_shapes(said).items()
    }
    return Packed(parameters, (), dead, None, said)


@pytest.mark.parametrize(("model", "about"), [
    pytest.param({**RNN, "hidden": 1 << 12}, {}, marks=pytest.mark.slow),
    ({**CNN, "filters": 1 << 20}, {"embedding_dim": 1000}),
], ids=["birnn", "cnn"])  # fmt: skip
def test_a_small_file_does_not_ask_for_a_lot_of_memory(model, about, tmp_path):
    path = tmp_path / "ticket.safetensors"
    hollow(model, **about).save(path)
    assert path.stat().st_size < 10_000
    with pytest.raises(SettingError, match="weights, but only 0 weights are alive"):
        Ticket.load(path)


@pytest.mark.parametrize(("model", "dim", "of"), [
    ({"filters": 1, "widths": [1 << 20]}, 1, "text"),
    ({"filters": 1000, "widths": [200, 3]}, 4, "text"),
    ({"filters": 1 << 12, "widths": [8]}, 1 << 10, "word"),
])  # fmt: skip
def test_a_small_file_does_not_ask_for_a_lot_of_work(model, dim, of, tmp_path):
    path = tmp_path / "ticket.safetensors"
    hollow({**CNN, **model}, embedding_dim=dim).save(path)
    assert path.stat().st_size < 10_000
    with pytest.raises(SettingError, match=rf"its filters need [0-9,]+ operations per {of}, but only"):
        Ticket.load(path)


@pytest.mark.parametrize(("said", "message"), [
    ({"class_names": [f"class {number}" for number in range(70_000)]}, "70,000 classes, more than 65,536"),
    ({"splitter": "b" * 10_000}, "its splitter 'bbb"),
    ({"model": {**CNN, "filters": [1] * 10_000}}, "its filters are 10,000 numbers for 2 widths"),
], ids=["classes", "splitter", "filters"])  # fmt: skip
def test_what_a_large_header_holds_is_not_repeated(said, message, tmp_path):
    path = rewritten(tmp_path / "ticket.safetensors", **said)
    with pytest.raises(SettingError, match=message) as caught:
        Packed.load(path)
    assert len(str(caught.value)) < 400 + len(str(path))


def test_wide_filters_that_live_may_ask_for_work(tmp_path):
    path = tmp_path / "ticket.safetensors"
    make_packed({**CNN, "filters": 60, "widths": [800]}, dim=60, density=1.0).save(path)
    assert Ticket.load(path).logits(["w2 w3"]).shape == (1, 3)


@pytest.mark.parametrize("depth", [17, 700])
def test_depth_is_no_matter_of_the_stack(depth, tmp_path):
    path = rewritten(tmp_path / "ticket.safetensors", corpus=nested(depth))
    with pytest.raises(SettingError, match="more than 16 deep"):
        Packed.load(path)


def test_rows_of_dead_words_take_no_memory(tmp_path):
    path = tmp_path / "ticket.safetensors"
    hollow(RNN, words=1 << 22, embedding_dim=1000).save(path)
    tracemalloc.start()
    try:
        np.testing.assert_array_equal(Ticket.load(path).logits(["a b"]), np.zeros((1, 3)))
        assert tracemalloc.get_traced_memory()[1] < 100e6  # as dense table they would take 16.8 GB
    finally:
        tracemalloc.stop()


def test_gaps_whose_sum_overflows_are_refused() -> None:
    # Four gaps of 2⁶² − 1 and their ends: 2⁶⁴ in all, which 64 bits take for 0.
    with pytest.raises(ValueError, match="beyond the last entry"):
        unpack("gaps", bytes_of(*([*[255] * 8, 63] * 4), 3), 1 << 62)


@pytest.mark.parametrize("model", [CNN, RNN], ids=["cnn", "birnn"])
def test_a_mutant_that_is_sealed_anew_answers_or_is_refused_in_a_line(model, tmp_path):
    path = tmp_path / "ticket.safetensors"
    make_packed(model, unknown=True, first=True).save(path)
    sound, outcomes = path.read_bytes(), Counter[str]()
    for number in range(1000):
        chance = Random(number)
        mutation = sealed_anew(chance.choice([*BYTEWISE.values(), change_header, change_header]))
        path.write_bytes(mutation(sound, chance))
        try:
            ticket = Ticket.load(path)
            probabilities = ticket.predict(["w2 w3, w4 w2 of", ""])
            assert probabilities.shape == (2, len(ticket.class_names))
            np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
            outcomes["read"] += 1
        except SettingError as error:
            outcomes["refused" if len(str(error).splitlines()) == 1 else "several lines"] += 1
    assert outcomes.keys() == {"read", "refused"}
    assert min(outcomes["read"], outcomes["refused"]) > 30
