"""Wrong word vectors: GloVe files, archives and matrices."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from observing import Case, Kind, train
from samples import CSV, LOG, fill, make_corpus

WORDS = "film\ngood\nbad\nnumber"
VECTORS = "".join(f"{word} {place} {place}.5\n" for place, word in enumerate(WORDS.split("\n")))


def _case(wrong: str, name: str, content: object, *names: str, dim: int = 2, beside: str | None = None) -> Case:
    def make(folder: Path) -> list[str]:
        fill(folder / name, content)  # pyright: ignore[reportArgumentType]
        if beside is not None:
            fill((folder / name).with_suffix(".txt"), beside)
        arguments = make_corpus(folder, {"train.csv": CSV, "test.csv": CSV})
        return [*arguments, "embedding=glove", f"embedding.path={name}", f"embedding.dim={dim}"]

    return Case(wrong, make, names, train, LOG)


def _archive(members: Mapping[str, str]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return file.getvalue()


def _encrypted() -> bytes:
    """An archive whose two records of its file say that it is encrypted."""
    archive = bytearray(_archive({"glove.2d.txt": VECTORS}))
    archive[archive.find(b"PK\x03\x04") + 6] |= 1
    archive[archive.find(b"PK\x01\x02") + 8] |= 1
    return bytes(archive)


def _flipped() -> bytes:
    archive = bytearray(_archive({"glove.2d.txt": VECTORS}))
    archive[archive.find(b"good")] ^= 1
    return bytes(archive)


def _matrix(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=True)
    return file.getvalue()


FOUR = np.ones((4, 2))

CASES = (
    Case(
        "no such file",
        lambda _: ["model=cnn", "data=files", "data.path=.", "embedding=glove", "embedding.path="],
        ("embedding.path", "empty"),
        train,
    ),
    _case("a folder for a file", "glove.txt", Path.mkdir, "embedding.path", "glove.txt"),
    _case("an empty file", "glove.txt", "", "embedding.path", "glove.txt", "no vectors"),
    _case("a header alone", "glove.txt", "4 2\n", "embedding.path", "glove.txt", "no vectors"),
    _case("another width", "glove.txt", VECTORS, "embedding.dim", "glove.txt", "embedding.dim=2", dim=3),
    _case("words for numbers", "glove.txt", "film one two\n", "glove.txt", "line 1", "2 numbers"),
    _case("NaN for a number", "glove.txt", VECTORS.replace("2.5", "nan"), "glove.txt", "line 3"),
    _case("the first row is cut off", "glove.txt", "film 1", "embedding.dim", "glove.txt"),
    _case("a row that is cut off", "glove.txt", VECTORS.removesuffix(" 3.5\n"), "glove.txt", "line 4"),
    _case("none of the words", "glove.txt", "zeppelin 1 2\n", "glove.txt", "none of the vocabulary"),
    _case("no text at all", "glove.txt", bytes(range(256)) * 9, "glove.txt", "line 1"),
    _case("a `.txt` called `.zip`", "glove.zip", VECTORS, "embedding.path", "glove.zip", "zip"),
    _case("an archive that is cut off", "glove.zip", _archive({"glove.2d.txt": VECTORS})[:-30], "glove.zip"),
    _case("an archive that is damaged", "glove.zip", _flipped(), "glove.zip", "glove.2d.txt"),
    _case("an encrypted archive", "glove.zip", _encrypted(), "glove.zip", "encrypted", "unpack"),
    _case("an archive of several files", "glove.zip", _archive({"a.txt": VECTORS, "b.txt": VECTORS}), "a.txt, b.txt"),
    _case("an archive of no `.txt`", "glove.zip", _archive({"glove.csv": VECTORS}), "glove.zip", "none"),
    _case(
        "an archive of other widths",
        "glove.zip",
        _archive({"a.50d.txt": "", "a.100d.txt": ""}),
        "a.50d.txt, a.100d.txt",
        "embedding.dim",
    ),
    _case(
        "an archive that would write elsewhere",
        "glove.zip",
        _archive({"../../a.2d.txt": "zeppelin 1 2\n"}),
        "glove.zip",
        "none of the vocabulary",
    ),
    _case("a matrix without its words", "glove.npy", _matrix(FOUR), "embedding.path", "glove.txt"),
    _case("a matrix of other words", "glove.npy", _matrix(FOUR), "glove.npy", "4 rows", "3 words", beside="a\nb\nc"),
    _case("a matrix of another width", "glove.npy", _matrix(FOUR), "embedding.dim=2", "glove.npy", dim=3, beside=WORDS),
    _case("a matrix that is none", "glove.npy", _matrix(np.ones(4)), "glove.npy", "matrix", beside=WORDS),
    _case("a matrix that is cut off", "glove.npy", _matrix(FOUR)[:-20], "glove.npy", "damaged", beside=WORDS),
    _case("a matrix of words", "glove.npy", _matrix(np.array([["a", "b"]])), "glove.npy", "numbers", beside="film"),
    _case("numbers that are too large", "glove.npy", _matrix(FOUR * 1e300), "glove.npy", "too large", beside=WORDS),
    _case(
        "a pickle in a matrix",
        "glove.npy",
        _matrix(np.array([{}])),
        "glove.npy",
        "not a .npy file of numbers",
        beside="film",
    ),
    _case("no `.npy` called so", "glove.npy", b"junk" * 9, "glove.npy", "not a .npy file of numbers", beside="film"),
)

KIND = Kind(
    6,
    "Word vectors",
    "Given to `python -m lt_lightning.train embedding=glove embedding.path=FILE embedding.dim=2`. An archive is read "
    "where it is, and never unpacked.",
    CASES,
)
