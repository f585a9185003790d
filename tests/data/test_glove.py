"""Word vectors: those of the vocabulary, bit for bit, from every form they come in; what is wrong is named."""

import importlib.util
import io
import os
import pickle
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lt_lightning.data import glove
from lt_lightning.data.glove import PACKAGE, found, load_vectors, recall_vectors
from lt_lightning.data.sources import hub

WORDS = ["<unk>", "<pad>", "the", "naïve", "zebra"]
LINES = "the 0.5 -1 2e-3\nof 1 1 1\nnaïve 3 4 5\n"
nan = float("nan")
VECTORS = torch.tensor([[nan] * 3, [nan] * 3, [0.5, -1, 2e-3], [3, 4, 5], [nan] * 3])


def same(vectors: torch.Tensor | None, expected: torch.Tensor) -> bool:
    assert vectors is not None
    return vectors.dtype == torch.float32 and torch.equal(vectors.nan_to_num(-9), expected.nan_to_num(-9))


@pytest.fixture
def load(tmp_path, embedding_config):
    def load(content: str | bytes, words=WORDS, name="vectors.txt", **changes):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load_vectors(embedding_config(path=str(path), **changes), words)

    return load


def test_random_embeddings_have_no_vectors(embedding_config):
    assert load_vectors(embedding_config(name="random"), WORDS) is None


@pytest.mark.parametrize("content", [
    LINES, LINES.replace("\n", "\r\n"), LINES.removesuffix("\n"), LINES.replace(" ", "\t"),
    LINES.replace("\n", " \n"),  # as word2vec and fastText write it
    "3 3\n" + LINES,  # word2vec's first line
    "\n" + LINES + "\n\n",
    LINES + "the 9 9 9\n",  # of repeats the first counts
    ". . . 1 2 3\nthe end 7 7 7\n" + LINES + "zebra crossing 1 2 3\n",  # GloVe 840B has words with spaces
    "\u2028 1 2 3\n\x85 1 2 3\n" + LINES,
    "\ufeff" + LINES,  # a byte order mark is no part of the first word
    "\ufeff3 3\n" + LINES,
])  # fmt: skip
def test_the_vectors_of_the_vocabulary_are_read_and_no_others(load, content):
    vectors = load(content)
    assert same(vectors, VECTORS)
    assert found(vectors) == 2


def test_bytes_that_are_no_text_do_no_harm(load):
    assert same(load(b"\xff\xfe 1 2 3\n" + LINES.encode() + b"caf\xe9 1 2 3\n"), VECTORS)


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1),
        st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3),
        min_size=1,
    )
)
def test_what_was_written_is_read_bit_for_bit(tmp_path_factory, embedding_config, vectors):
    path = tmp_path_factory.mktemp("any") / "vectors.txt"
    path.write_text("".join(f"{word} {a!r} {b!r} {c!r}\n" for word, (a, b, c) in vectors.items()), encoding="utf-8")
    read = load_vectors(embedding_config(path=str(path)), [*reversed(vectors), "something else"])
    assert read is not None
    assert read[:-1].tolist() == [*reversed(vectors.values())]
    assert read[-1].isnan().all()


@pytest.mark.parametrize("dim", [2, 4, 300])
@pytest.mark.parametrize("header", ["", "2 3\n"])
def test_another_width_is_named_with_the_remedy(load, dim, header, refused):
    with refused(f"embedding.dim: {dim}", "vectors.txt", "have 3", "set embedding.dim=3"):
        load(header + LINES, dim=dim)


@pytest.mark.parametrize(("content", "line"), [
    ("of 1 1 1\nthe 1 2 x\n", 2), ("of 1 1 1\nthe 1 2\n", 2), ("of 1 1 1\nzebra\n", 2),
    ("of 1 1 1\nthe 1 2 inf\n", 2), ("of 1 1 1\nthe 1 2 nan\n", 2), ("of 1 1 1\n\nthe 1 2 3,4\n", 3),
    ("no vectors at all\n", 1), ("<html>\n", 1), (b"\x1f\x8b\x08\x00\x00", 1),
])  # fmt: skip
def test_a_line_that_is_no_vector_is_named(load, content, line, refused):
    with refused("embedding.path", f"vectors.txt, line {line}: not a word and 3 numbers"):
        load(content)


@pytest.mark.parametrize("start", ["", LINES, "3 3\n"])
@pytest.mark.parametrize("name", ["vectors.txt", "vectors.vec"])
def test_a_line_that_no_vector_fills_is_not_read_as_a_whole(tmp_path, embedding_config, start, name, refused):
    path = tmp_path / name
    path.write_text(start)
    with path.open("r+b") as file:
        file.truncate(3 << 30)  # a hole of 3 GB that takes no room
    tracemalloc.start()
    try:
        with refused("embedding.path", f"{name}, line {start.count(chr(10)) + 1}: longer than 1,048,576 bytes"):
            load_vectors(embedding_config(path=str(path)), WORDS)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("content", ["", "\n\n", "400000 3\n"])
def test_a_file_without_vectors_is_named(load, content, refused):
    with refused("embedding.path", "vectors.txt", "holds no vectors"):
        load(content)


def test_a_file_for_other_words_is_named(load, refused):
    with refused("embedding.path", "vectors.txt", "none of the vocabulary's 5 words"):
        load("чужой 1 2 3\n")


def test_a_path_that_is_no_file_is_named(embedding_config, tmp_path, refused):
    for path in (tmp_path, tmp_path / "none.txt"):
        with refused("embedding.path", str(path), "is not a file"):
            load_vectors(embedding_config(path=str(path)), WORDS)


@pytest.fixture
def read(monkeypatch) -> list[int]:
    """How many words' vectors were read from a file, time by time."""
    sizes = []

    def counting(config, words):
        sizes.append(len(words))
        return load_vectors(config, words)

    monkeypatch.setattr(glove, "load_vectors", counting)
    return sizes


@pytest.mark.parametrize("name", ["vectors.txt", "vectors.zip"])
def test_the_second_time_vectors_come_from_the_cache(tmp_path, embedding_config, read, name):
    path = tmp_path / name
    path.write_bytes(zipped(tmp_path, {"a.3d.txt": LINES}) if name.endswith(".zip") else LINES.encode())
    cache = tmp_path / "cache"
    cache.mkdir()
    for _ in range(2):
        vectors = recall_vectors(embedding_config(path=str(path)), WORDS, cache)
        assert same(vectors, VECTORS)
        assert vectors is not None
        vectors += 1  # theirs to change: what is kept is not
    assert read == [len(WORDS)]


def test_other_words_and_other_files_are_read_anew(tmp_path, embedding_config, read):
    path = tmp_path / "vectors.txt"
    path.write_text(LINES)
    config = embedding_config(path=str(path))
    recall_vectors(config, WORDS, tmp_path)
    turned = recall_vectors(config, WORDS[::-1], tmp_path)
    assert same(turned, VECTORS.flip(0))
    path.write_text(LINES.replace("0.5", "0.7"))  # of the same length
    os.utime(path, ns=(1, 1))
    changed = recall_vectors(config, WORDS, tmp_path)
    assert changed is not None
    assert changed[2].tolist() == torch.tensor([0.7, -1, 2e-3]).tolist()
    path.with_name("other.txt").write_text("the 7 8 9\n")
    other = recall_vectors(embedding_config(path=str(path.with_name("other.txt"))), WORDS, tmp_path)
    assert other is not None
    assert other[2].tolist() == [7, 8, 9]
    assert len(read) == 4


def test_what_is_wrong_is_said_each_time_and_not_kept(tmp_path, embedding_config, refused):
    path = tmp_path / "vectors.txt"
    path.write_text(LINES.replace("0.5", "x"))
    for _ in range(2):
        with refused("vectors.txt, line 1: not a word and 3 numbers"):
            recall_vectors(embedding_config(path=str(path)), WORDS, tmp_path)
    path.write_text(LINES)
    recall_vectors(embedding_config(path=str(path)), WORDS, tmp_path)
    with refused("embedding.dim: 4", "set embedding.dim=3"):  # what is kept for one width is not given for another
        recall_vectors(embedding_config(path=str(path), dim=4), WORDS, tmp_path)


def test_a_matrix_is_read_where_it_is(tmp_path, embedding_config):
    path = save_matrix(tmp_path, MATRIX, "the\nof\nnaïve\nthe")
    assert same(recall_vectors(embedding_config(path=str(path)), WORDS, tmp_path / "nowhere"), VECTORS)
    assert recall_vectors(embedding_config(name="random"), WORDS, tmp_path / "nowhere") is None


def zipped(folder: Path, members: dict[str, str]) -> bytes:
    with zipfile.ZipFile(folder / "written.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return (folder / "written.zip").read_bytes()


def test_of_an_archive_the_member_of_the_right_width_is_read(load, tmp_path):
    members = {
        "glove.6B.30d.txt": "the " + "1 " * 29 + "1\n", "glove.6B.3d.txt": LINES,
        "__MACOSX/._glove.6B.3d.txt": "shadow", "readme.txt": "read me",
    }  # fmt: skip
    assert same(load(zipped(tmp_path, members), name="glove.zip"), VECTORS)
    vectors = load(zipped(tmp_path, members), name="glove.zip", dim=30)
    assert vectors[2].tolist() == [1.0] * 30


def test_the_only_member_of_an_archive_is_read_whatever_its_name(load, tmp_path):
    assert same(load(zipped(tmp_path, {"folder/mine.txt": LINES, "mine.bin": "x"}), name="mine.zip"), VECTORS)


@pytest.mark.parametrize("name", ["../../evil.txt", "{folder}/evil.txt", "C:\\evil.txt", "a/../../evil.txt"])
def test_a_member_that_points_outside_the_archive_is_read_and_nothing_is_written(load, tmp_path, name):
    inside = tmp_path / "deep/down"
    inside.mkdir(parents=True)
    content = zipped(tmp_path, {name.format(folder=tmp_path): LINES})
    before = set(tmp_path.rglob("*"))
    assert same(load(content, name="deep/down/glove.zip"), VECTORS)
    assert set(tmp_path.rglob("*")) == before | {inside / "glove.zip"}
    assert not list(tmp_path.rglob("*evil*"))


class Trap:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("kind", ["an array of objects", "a bare pickle"])
def test_a_pickle_in_a_matrix_is_refused_and_never_run(load, tmp_path, refused, kind):
    trap, file = Trap(tmp_path / "sprung"), io.BytesIO()
    if kind == "a bare pickle":
        pickle.dump(trap, file)
    else:
        np.save(file, np.array([[trap]], dtype=object), allow_pickle=True)
    (tmp_path / "vectors.txt").write_text("the\n")
    with refused("embedding.path", "vectors.npy", "is not a .npy file of numbers"):
        load(file.getvalue(), name="vectors.npy", dim=1)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("members", [{"a.50d.txt": "", "a.100d.txt": ""}, {"a.bin": ""}, {}])
def test_an_archive_without_the_width_is_named_with_what_it_has(load, tmp_path, members, refused):
    texts = ", ".join(name for name in members if name.endswith(".txt")) or "none"
    with refused("embedding.path", "glove.zip", "3 dimensions", f"it has {texts}", "embedding.dim"):
        load(zipped(tmp_path, members), name="glove.zip")


def test_a_damaged_archive_is_named(load, tmp_path, refused):
    whole = zipped(tmp_path, {"a.3d.txt": LINES * 1000})
    hole = len(whole) // 3
    for content in (whole[: len(whole) // 2], b"", whole[:hole] + b"\0" * hole + whole[2 * hole :]):
        with refused("embedding.path", "glove.zip", "cannot be read", "download it again"):
            load(content, name="glove.zip")


def save_matrix(folder: Path, matrix: np.ndarray, words: str | bytes | None) -> Path:
    np.save(folder / "vectors.npy", matrix)
    if words is not None:
        (folder / "vectors.txt").write_bytes(words if isinstance(words, bytes) else words.encode())
    return folder / "vectors.npy"


MATRIX = np.array([[0.5, -1, 2e-3], [1, 1, 1], [3, 4, 5], [9, 9, 9]])


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize(
    "words", ["the\nof\nnaïve\nthe\n", "the\r\nof\r\nnaïve\r\nthe", "the\no\x85f\u2028\nnaïve\nthe", None]
)
def test_rows_of_a_matrix_go_by_the_words_beside_it(tmp_path, embedding_config, kind, words):
    content = "the\nof\nnaïve\n".encode() + b"\xff\n" if words is None else words
    path = save_matrix(tmp_path, MATRIX.astype(kind), content)
    vectors = load_vectors(embedding_config(path=str(path)), WORDS)
    assert same(vectors, torch.from_numpy(VECTORS.numpy().astype(kind).astype(np.float32)))


def test_a_matrix_of_another_form_is_named(tmp_path, embedding_config, refused):
    config = embedding_config(path=str(tmp_path / "vectors.npy"))
    for matrix, words, said in [
        (MATRIX, None, ("needs its words", str(tmp_path / "vectors.txt"))),
        (MATRIX, "one\ntwo\n", ("4 rows for 2 words",)),
        (np.ones((4, 7)), "a\nb\nc\nd", ("embedding.dim: 3", "have 7", "set embedding.dim=7")),
        (np.ones(4), "a\nb\nc\nd", ("not a matrix of numbers",)),
        (np.array([["a"] * 3] * 4), "a\nb\nc\nd", ("not a matrix of numbers",)),
        (np.array([[{}] * 3] * 4), "a\nb\nc\nd", ("not a .npy file of numbers",)),
    ]:
        save_matrix(tmp_path, matrix, words)
        with refused("embedding", *said):
            load_vectors(config, WORDS)
    for content in (b"", b"junk" * 100):
        (tmp_path / "vectors.npy").write_bytes(content)
        with refused("embedding.path", str(tmp_path / "vectors.npy")):
            load_vectors(config, WORDS)


def test_only_the_rows_of_the_vocabulary_are_in_memory(tmp_path, embedding_config):
    rows = 50_000
    path = save_matrix(tmp_path, np.zeros((rows, 100), np.float32), "\n".join(map(str, range(rows))))
    lines = tmp_path / "lines.txt"
    lines.write_text("".join(f"{row} {'0 ' * 99}0\n" for row in range(rows)))
    for file in (path, lines):
        tracemalloc.start()
        load_vectors(embedding_config(path=str(file), dim=100), ["7", "49999", "none"])
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 8e6  # the whole matrix has 20 MB


def test_without_a_path_the_hub_is_asked_for_the_archive(tmp_path, embedding_config, monkeypatch):
    zipped(tmp_path, {"glove.6B.3d.txt": LINES, "glove.6B.30d.txt": ""})
    asked = []

    def fetch(repo, name, setting, remedy):
        asked.append((repo, name))
        assert setting == "embedding"
        assert "embedding.path" in remedy
        assert "embedding=glove_50d" in remedy
        return tmp_path / "written.zip"

    monkeypatch.setattr(hub, "fetch_file", fetch)
    config = embedding_config(hub="stanfordnlp/glove", hub_file="glove.6B.zip")
    assert same(load_vectors(config, WORDS), VECTORS)
    assert asked == [("stanfordnlp/glove", "glove.6B.zip")]


def test_the_package_s_vectors_are_those_of_its_matrix(embedding_config):
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        pytest.skip("needs the glove extra")
    data = Path(spec.origin).parent / "data"
    index = pq.read_table(data / "glove_6B_index.parquet")["index"].to_pylist()
    matrix = np.load(data / "glove_6B_50d_emb.npy")
    words = ["<unk>", "<pad>", "the", ",", "naïve", "sandberger", "lottery", "qwxzt"]
    vectors = load_vectors(embedding_config(name="glove_50d", dim=50), words)
    assert vectors is not None
    for word, vector in zip(words, vectors, strict=True):
        if word in index:
            assert vector.tolist() == matrix[index.index(word)].tolist()
        else:
            assert vector.isnan().all()
    assert found(vectors) == len(set(words) & set(index)) >= 4
    # The first of the published 50-d vectors, https://nlp.stanford.edu/data/glove.6B.zip.
    assert vectors[2, :3].tolist() == pytest.approx([0.418, 0.24968, -0.41242])


def test_the_package_s_width_is_the_package_s(embedding_config, refused):
    pytest.importorskip(PACKAGE)
    with refused("embedding.dim: 100", "have 50", "set embedding.dim=50"):
        load_vectors(embedding_config(name="glove_50d", dim=100), WORDS)


def test_a_package_that_is_not_installed_is_named_with_the_remedy(embedding_config, monkeypatch, refused):
    monkeypatch.delitem(sys.modules, PACKAGE, raising=False)
    monkeypatch.setattr("lt_lightning.data.glove.PACKAGE", "no_such_package")
    with refused("embedding", "glove_50d is not installed", "lt-lightning[glove]"):
        load_vectors(embedding_config(name="glove_50d", dim=50), WORDS)
