"""The words of `evaluate` mean what they mean in training, and those that make no sense are one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from lt_lightning.errors import SettingError
from lt_lightning.evaluate.request import read_request


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a file and a folder with odd names in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my reviews, {1}.csv").touch()
    (tmp_path / "a=b").mkdir()
    (tmp_path / "imdb").mkdir()
    (tmp_path / "notes.txt").touch()
    return tmp_path


def test_a_name_is_the_group_of_training(folder):
    request = read_request(["data=imdb", "data.path=elsewhere", "split=train", "data.text_column=body"])
    assert (request.name, request.file, request.split) == ("imdb", None, "train")
    data = request.data
    assert (data.name, data.path, data.text_column) == ("IMDB", "elsewhere", "body")
    assert data.class_names == ["negative", "positive"]


def test_a_file_and_a_folder_are_what_they_are_whatever_their_names(folder):
    file = read_request(["data=my reviews, {1}.csv", "data.limit=5"])
    assert (file.name, file.file, file.split) == ("my reviews, {1}", Path("my reviews, {1}.csv"), None)
    assert (file.data.label_column, file.data.limit) == ("label", 5)
    part = read_request(["data=my reviews, {1}.csv", "split=valid"])
    assert (part.name, part.file, part.split, part.data.path) == ("my reviews, {1}", None, "valid", str(file.file))
    assert read_request(["data=a=b"]).data.path == "a=b"
    assert read_request(["data=a=b"]).split == "test"
    assert read_request(["data=./imdb"]).data.name == "files"  # the group goes first


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], ("data: ", "missing", "pydocs")),
        (["data="], ("data: ", "missing")),
        (["agnews"], ("'agnews'", "key=value")),
        (["data=agnew"], ("data: ", "'agnew'", "did you mean agnews?")),
        (["data=gone.csv"], ("data: ", "gone.csv does not exist")),
        (["data=notes.txt"], ("data: ", "notes.txt", ".csv, .tsv, .jsonl, .parquet")),
        (["data=pairs"], ("data: ", "pairs of strings", "labelled texts")),
        (["data=reversal"], ("data: ", "pairs of strings")),
        (["data=imdb", "data=imdb"], ("data: ", "twice")),
        (["data=imdb", "split=tets"], ("split: ", "'tets'", "did you mean test?", "test, train, valid")),
        (["data=my reviews, {1}.csv", "data.test_fraction=2"], ("data.test_fraction: ", "between 0 and 1")),
        (["data=imdb", "spilt=test"], ("spilt: ", "did you mean split?")),
        (["data=imdb", "data.text_colum=a"], ("data.text_colum: ", "did you mean data.text_column?")),
        (["data=imdb", "data.max_length=5"], ("data.max_length: ", "the ticket determines it")),
        (["data=imdb", "seed=5"], ("seed: ", "no such setting here")),
        (["data=imdb", "data.limit=some"], ("data.limit: ", "'some'", "whole number")),
        (["data=imdb", "data.limit=0"], ("data.limit: ", "0", "at least 1")),
        (["data=imdb", "data.limit=[1"], ("data.limit=[1", "quotes")),
        (["data=imdb", "data.label_column=null"], ("data.label_column: ",)),
        (["data=imdb", "data.class_names=[a"], ("data.class_names=[a",)),
        (["data=a=b", "data.path=c"], ("data.path: ", "data=a=b")),
        (["data=a=b", "data.hub=c"], ("data.hub: ", "data=a=b")),
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_one_line(words, said, folder):
    with pytest.raises(SettingError) as raised:
        read_request(words)
    message = str(raised.value)
    assert "\n" not in message
    assert [word for word in said if word not in message] == [], message
