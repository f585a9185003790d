"""Labels: numbers, names and everything in between become 0 … C−1 with the right name each, or are refused."""

import datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lt_lightning.data.labels import find_classes, tidy_labels


def read(values, chosen=None, known=None, kind=None, where="train"):
    """The classes' names and the numbers of the labels, `values` twice over so that no class is too small."""
    labels = tidy_labels(pa.chunked_array([pa.array([*values, *values], kind)]), known, where).drop_null()
    classes = find_classes(labels, where, chosen, known)
    return list(classes.names), classes.number(labels, where).tolist()[: len(labels) // 2]


@pytest.mark.parametrize(("values", "kind"), [
    ([0, 2, 1], pa.int64()), ([0, 2, 1], pa.int8()), ([0, 2, 1], pa.uint64()), ([0.0, 2.0, 1.0], pa.float64()),
    ([0.0, 2.0, 1.0], pa.float16()), (["0", "2", "1"], pa.string()), ([" 0", "2.0", "1 "], pa.large_string()),
])  # fmt: skip
def test_whole_numbers_are_numbers_however_they_are_stored(values, kind):
    assert read(values, kind=kind) == (["0", "1", "2"], [0, 2, 1])
    assert read(values, chosen=["x", "y", "z"], kind=kind) == (["x", "y", "z"], [0, 2, 1])


def test_truth_values_are_0_and_1():
    assert read([True, False]) == (["0", "1"], [1, 0])
    assert read([True, False], chosen=["no", "yes"]) == (["no", "yes"], [1, 0])


def test_names_are_numbered_in_alphabetical_order():
    assert read(["pos", "neg", "neutral", "neg"]) == (["neg", "neutral", "pos"], [2, 0, 1, 0])


def test_names_are_numbered_as_the_configuration_has_them():
    assert read(["pos", "neg"], chosen=["pos", "neg"]) == (["pos", "neg"], [0, 1])


def test_white_space_around_a_name_is_no_part_of_it():
    assert read(["pos", " pos", "neg\n"]) == (["neg", "pos"], [1, 1, 0])


def test_names_that_are_numbers_elsewhere_are_names_among_others():
    assert read(["1", "2", "other"]) == (["1", "2", "other"], [0, 1, 2])


@pytest.mark.parametrize(("values", "names", "codes"), [
    ([3, 1, 2, 3], ["1", "2", "3"], [2, 0, 1, 2]), (["3", "1", "2", "3"], ["1", "2", "3"], [2, 0, 1, 2]),
    ([0, 1, 3], ["0", "1", "3"], [0, 1, 2]), (["-1", "0", "1"], ["-1", "0", "1"], [0, 1, 2]),
    ([-1, 0, 1], ["-1", "0", "1"], [0, 1, 2]), ([0, 10**15], ["0", str(10**15)], [0, 1]),
    ([10, 9, 8], ["8", "9", "10"], [2, 1, 0]),  # in the order of the numbers
    (["10", "9", "8"], ["8", "9", "10"], [2, 1, 0]),
])  # fmt: skip
def test_numbers_that_do_not_count_from_zero_are_names(values, names, codes):
    assert read(values) == (names, codes)
    assert read(values, chosen=names) == (names, codes)


@pytest.mark.parametrize(("values", "names"), [
    (["0", "1", "01"], ["0", "01", "1"]), (["00", "01", "02"], ["00", "01", "02"]),
    (["01", "02", "03"], ["01", "02", "03"]), (["1", "+1", "1.0"], ["+1", "1", "1.0"]),
    (["0", "0.0", "1"], ["0", "0.0", "1"]), (["0", "1", "1e0"], ["0", "1", "1e0"]),
    (["0", "1", "１"], ["0", "1", "１"]),  # a full-width digit
])  # fmt: skip
def test_labels_that_are_written_differently_are_different_classes(values, names):
    found, codes = read(values)
    assert found == names
    assert [found[code] for code in codes] == values


def test_class_names_with_leading_zeros_fit_labels_with_leading_zeros(refused):
    assert read(["01", "02", "03"], chosen=["03", "02", "01"]) == (["03", "02", "01"], [2, 1, 0])
    with refused("data.class_names", "'1' is the label of no row", "01, 02"):
        read(["01", "02"], chosen=["1", "2"])


def test_missing_labels_are_null():
    labels = pa.chunked_array([pa.array([1.0, None, float("nan"), 0.0])])
    assert tidy_labels(labels, None, "train").to_pylist() == [1, None, None, 0]
    labels = pa.chunked_array([pa.array(["a", "", None, " "])])
    assert tidy_labels(labels, None, "train").to_pylist() == ["a", None, None, None]
    labels = pa.chunked_array([pa.array([1, -1, 0])])
    assert tidy_labels(labels, ["no", "yes"], "train").to_pylist() == [1, None, 0]
    assert tidy_labels(pa.chunked_array([pa.nulls(2)]), None, "train").to_pylist() == [None, None]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
)
def test_nan_is_missing_in_text_as_in_numbers(kind):
    values = pa.array(["a", "NaN", " nan ", "NA", "null", "banana"]).cast(kind)
    labels = tidy_labels(pa.chunked_array([values]), None, "train")
    assert labels.to_pylist() == ["a", None, None, "NA", "null", "banana"]
    assert read(["0", "NaN", "1"])[0] == read([0.0, float("nan"), 1.0])[0] == ["0", "1"]


def test_a_class_may_be_called_nan_where_the_configuration_says_so():
    labels = tidy_labels(pa.chunked_array([["nan", "deu", ""]]), None, "train", ["deu", "nan"])
    assert labels.to_pylist() == ["nan", "deu", None]


@pytest.mark.parametrize(
    "values", [[0.5, 1.0], ["0.5", "1"], [float("inf"), 0.0], [np.uint64(2**64 - 1), np.uint64(0)]]
)
def test_numbers_that_are_not_whole_are_refused(values, refused):
    with refused("train", "whole numbers or names", "data.label_column"):
        read(values)


@pytest.mark.parametrize(("values", "kind"), [
    ([[0], [1]], "list"), ([{"a": 1}, {"a": 0}], "struct"), ([datetime.datetime(2020, 1, 1), None], "timestamp"),
    ([Decimal("1.5"), Decimal("1")], "decimal"), ([b"a", b"b"], "binary"),
])  # fmt: skip
def test_labels_of_another_kind_are_refused(values, kind, refused):
    with refused("train", "whole numbers or names, not", kind):
        read(values)


@pytest.mark.parametrize("values", [["a", "a"], [0, 0], [7]])
def test_one_class_only_is_refused(values, refused):
    with refused("train has one class only", str(values[0])):
        read(values)


def test_a_column_that_is_no_label_is_refused_in_short(refused):
    texts = [f"{number} " + "a very long text " * 100 for number in range(100)]
    labels = pa.chunked_array([texts])
    with refused("train", "100 different labels in 100 rows", "data.label_column") as raised:
        find_classes(labels, "train", None, None)
    assert len(str(raised.value)) < 700


@pytest.mark.parametrize(("values", "chosen", "known", "said"), [
    ([0, 1], ["a", "b", "a"], None, "'a' appears twice"),
    ([0, 1], ["a", "b", "c"], None, "each of the 3 data.class_names"),
    ([0, 1, 2], ["a", "b"], None, "each of the 2 data.class_names"),
    (["x", "y"], ["x", "y", "z"], None, "'z' is the label of no row"),
    (["x", "y"], ["a", "b"], None, "train has x, y"),
    (["x", "y", "z"], ["x", "y"], None, "label 'z' is none of the classes: x, y"),
    ([0, 1], ["a", "b", "c"], ["a", "b"], "3 names for 2 classes; train has a, b"),
    ([0, 1], ["b", "a"], ["a", "b"], "another order"),
])  # fmt: skip
def test_names_that_do_not_fit_the_labels_are_refused(values, chosen, known, said, refused):
    with refused("class", said):
        read(values, chosen, known)


def test_names_of_the_file_may_be_replaced_and_need_not_all_be_used():
    assert read([0, 1], known=["neg", "pos"]) == (["neg", "pos"], [0, 1])
    assert read([0, 1], chosen=["negative", "positive"], known=["neg", "pos"]) == (["negative", "positive"], [0, 1])
    assert read([0, 2], known=["a", "b", "c"]) == (["a", "b", "c"], [0, 2])


def number(train, test, chosen=None):
    """Number the labels of a second split by the classes of the first."""
    labels = {
        where: tidy_labels(pa.chunked_array([values]), None, where)
        for where, values in (("train", [*train, *train]), ("test", test))
    }
    return find_classes(labels["train"], "train", chosen, None).number(labels["test"], "test").tolist()


@pytest.mark.parametrize(("train", "test", "chosen", "codes"), [
    (["b", "a"], ["a", "b", "a"], None, [0, 1, 0]), ([0, 1], ["1", "0"], None, [1, 0]),
    ([0, 1], ["good", "bad"], ["bad", "good"], [1, 0]), (["1", "other"], [1, 1], None, [0, 0]),
    ([1, 2, 3], [3, 1], ["1", "2", "3"], [2, 0]), (["0", "1"], [1, 0], None, [1, 0]),
    (["0.0", "1.0"], ["1", "0"], None, [1, 0]), (["01", "02"], ["02"], None, [1]),
])  # fmt: skip
def test_another_split_is_numbered_alike(train, test, chosen, codes):
    assert number(train, test, chosen) == codes


@pytest.mark.parametrize(("train", "test", "chosen", "said"), [
    (["b", "a"], ["c"], None, "'c' is none of the classes: a, b"),
    (["b", "a"], [0, 1], None, "0 is none of the classes: a, b"),  # not the first and the second of them
    ([0, 1], [2], ["no", "yes"], "2 is none of the classes: 0 … 1, no, yes"),
    ([0, 1], [-1], None, "-1 is none of the classes"),
    ([1, 2, 3], [0], ["1", "2", "3"], "0 is none of the classes: 1, 2, 3"),
    (["0", "1"], ["01"], None, "'01' is none of the classes: 0, 1"),
    (["00", "01"], ["1"], None, "'1' is none of the classes: 00, 01"),
])  # fmt: skip
def test_a_label_that_the_first_split_lacks_is_refused(train, test, chosen, said, refused):
    with refused("test: label", said):
        number(train, test, chosen)


@given(st.lists(st.text(min_size=1).filter(lambda name: name == name.strip()), min_size=2, max_size=6, unique=True))
def test_names_and_numbers_are_each_others_inverse(names):
    names = [f"name {name}" for name in names]
    found, codes = read([*names, *reversed(names)])
    assert [found[code] for code in codes] == [*names, *reversed(names)]
    assert found == sorted(names)


@pytest.mark.slow
@given(st.integers(2, 30), st.randoms(use_true_random=False))
def test_numbers_are_their_own_numbers(classes, random):
    values = [*range(classes), *random.choices(range(classes), k=20)]
    random.shuffle(values)
    for form in (values, list(map(str, values)), list(map(float, values)), np.array(values, np.int16)):
        assert read(form) == ([str(number) for number in range(classes)], values)
