"""The corpus: what is read becomes texts with numbered labels, and what is wrong with it is said in one line."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import datasets
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lt_lightning.data.corpus import MOST_DROPPED, cache_folder, load_corpus, make_corpus

BOTH = ("train", "test")


@pytest.fixture(scope="session")
def made(data_config, rows_of):
    """A corpus of these texts and labels, the same in both splits unless `test` says otherwise."""

    def made(texts, labels, test=None, types=None, **changes):
        train = rows_of(texts, labels, **(types or {}))
        other = rows_of(*test, **(types or {})) if test else train
        return make_corpus(data_config(**changes), "here", {"train": train, "test": other})

    return made


def test_a_corpus_has_two_columns_of_these_types(made):
    corpus = made(["one", "two", "three", "four"], ["b", "a", "b", "a"])
    assert set(corpus.splits) == {"train", "test"}
    for split in corpus.splits.values():
        assert split.features == datasets.Features(
            {"text": datasets.Value("large_string"), "label": datasets.ClassLabel(names=["a", "b"])}
        )
        assert split.to_dict() == {"text": ["one", "two", "three", "four"], "label": [1, 0, 1, 0]}
    assert corpus.class_names == ("a", "b")
    assert (corpus.name, corpus.source, corpus.dropped) == ("files", "here", {"train": 0, "test": 0})


def test_other_columns_may_be_chosen_and_the_rest_is_left_out(data_config):
    rows = datasets.Dataset.from_dict({"review": ["x", "y"] * 2, "stars": [0, 1] * 2, "id": [7, 8] * 2})
    config = data_config(text_column="review", label_column="stars")
    corpus = make_corpus(config, "here", {"train": rows, "test": rows, "extra": rows})
    assert corpus.splits["test"].to_list() == [{"text": "x", "label": 0}, {"text": "y", "label": 1}] * 2
    assert set(corpus.splits) == {"train", "test"}


@pytest.mark.parametrize(
    ("changes", "setting"),
    [({"text_column": "txt"}, "data.text_column"), ({"label_column": "txt"}, "data.label_column")],
)
def test_a_missing_column_is_named_with_those_there_are(made, changes, setting, refused):
    with refused("here: train has no column 'txt'", "there is text, label", f"{setting}=…"):
        made(["x", "y"], [0, 1], **changes)


def test_a_column_in_other_letters_is_suggested(data_config, rows_of, refused):
    rows = rows_of(["x", "y"], [0, 1]).rename_columns({"text": "Text", "label": "Klasse"})
    with refused("here: train has no column 'text'", "there is Text, Klasse", "choose one with data.text_column=Text"):
        make_corpus(data_config(), "here", dict.fromkeys(BOTH, rows))


def test_a_missing_split_is_named_with_those_there_are(data_config, rows_of, refused):
    with refused("here: test is missing", "there is train, validation", "data.test_fraction"):
        make_corpus(data_config(), "here", {split: rows_of(["x"], [0]) for split in ("train", "validation")})
    with refused("here: train is missing", "there is test"):
        make_corpus(data_config(test_fraction=0.2), "here", {"test": rows_of(["x"], [0])})


def test_a_test_split_is_drawn_class_by_class_where_there_is_none(data_config, rows_of):
    texts = [f"text {place}" for place in range(100)]
    rows = rows_of(texts, ["ab"[place % 4 == 0] for place in range(100)])
    corpus = make_corpus(data_config(test_fraction=0.2), "here", {"train": rows})
    train, test = (corpus.splits[split].to_list() for split in BOTH)
    assert [sum(row["label"] == label for row in test) for label in (0, 1)] == [15, 5]
    assert sorted(row["text"] for row in (*train, *test)) == sorted(texts)
    assert [texts[place] for place in corpus.places["test"]] == [row["text"] for row in test]
    assert corpus.reading == {"delimiter": None, "test_fraction": 0.2}
    assert corpus.notes == [
        "no test split: 0.2 of the rows test, drawn class by class, the same for every seed (data.test_fraction)"
    ]
    again = make_corpus(data_config(test_fraction=0.2), "here", {"train": rows})
    assert again.fingerprints == corpus.fingerprints


def test_a_test_split_that_is_there_is_the_test_split(made):
    corpus = made(["x", "y"] * 2, [0, 1] * 2, test_fraction=0.2)
    assert corpus.fingerprints == made(["x", "y"] * 2, [0, 1] * 2).fingerprints
    assert (corpus.test_fraction, corpus.notes) == (None, [])


def test_too_few_rows_for_a_test_split_are_refused(data_config, rows_of, refused):
    for fraction, said in ((0.1, "no row to test on"), (0.9, "class 'a' with no row to train on")):
        with refused("data.test_fraction: ", said, "add a test split"):
            rows = rows_of(["x"] * 4, ["a", "b"] * 2)
            make_corpus(data_config(test_fraction=fraction), "here", {"train": rows})


def test_texts_without_labels_are_tested_on_a_share_as_well(data_config):
    rows = datasets.Dataset.from_dict({"text": [f"text {place}" for place in range(10)]})
    corpus = make_corpus(data_config(test_fraction=0.2, label_column=None), "here", {"train": rows})
    assert [len(corpus.splits[split]) for split in BOTH] == [8, 2]


def test_what_was_detected_is_on_record(tmp_path, data_config):
    rows = "".join(f"text {place};{'ab'[place % 2]}\n" for place in range(20))
    (tmp_path / "größe (1).csv").write_text("text;label\n" + rows, encoding="utf-8")
    corpus = load_corpus(data_config(path=str(tmp_path / "größe (1).csv"), test_fraction=0.5))
    assert corpus.reading == {"delimiter": {"train": ";"}, "test_fraction": 0.5}
    assert corpus.notes[0] == "columns are separated by semicolons"
    assert [len(corpus.splits[split]) for split in BOTH] == [10, 10]


@pytest.mark.parametrize("texts", [[1, 2], [{"a": "b"}, None], [["a"], ["b"]]])
def test_texts_that_are_none_are_refused(data_config, texts, refused):
    rows = datasets.Dataset.from_dict({"text": texts, "label": [0, 1]})
    with refused("here: train: column 'text' holds", "not text", "data.text_column"):
        make_corpus(data_config(), "here", dict.fromkeys(BOTH, rows))


@pytest.mark.parametrize("gap", [{"text": ""}, {"text": " \t\n\u3000"}, {"text": None}, {"label": None}])
def test_a_few_gaps_are_left_out_counted_and_said(data_config, caplog, gap):
    rows = [{"text": f"text {number}", "label": "ab"[number % 2]} for number in range(40)]
    whole, holed = (datasets.Dataset.from_list(some) for some in (rows, [*rows[:7], {**rows[7], **gap}, *rows[8:]]))
    with caplog.at_level(logging.WARNING):
        corpus = make_corpus(data_config(), "here", {"train": whole, "test": holed})
    assert corpus.dropped == {"train": 0, "test": 1}
    assert corpus.splits["test"]["text"][:] == [row["text"] for row in rows if row != rows[7]]
    assert caplog.messages == ["here: test: left out 1 of 40 rows without text or label"]


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".jsonl", "saved"])
@pytest.mark.parametrize(("missing", "present"), [("NaN", "ab"), (float("nan"), "ab"), ("", "ab"), (None, "ab"),
                                                  ("nan", (0, 1)), (float("nan"), (0, 1)), (None, (0, 1))])  # fmt: skip
def test_a_missing_label_is_missing_in_every_format(tmp_path, data_config, ending, missing, present):
    is_number = isinstance(missing, float)
    if is_number and isinstance(present[0], str) and ending in (".parquet", "saved"):
        missing = None  # a column of text holds no other NaN
    labels = [present[place % 2] for place in range(40)] + [missing]
    if isinstance(missing, str):
        labels = list(map(str, labels))
    rows = [{"text": f"text {place}", "label": label} for place, label in enumerate(labels)]
    for split in BOTH:
        path = tmp_path / f"{split}{ending}"
        if ending == ".csv":
            pd.DataFrame(rows).astype(object).to_csv(path, index=False)
        elif ending == ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        elif ending == ".parquet":
            pd.DataFrame(rows).to_parquet(path)
    if ending == "saved":
        saved = datasets.Dataset.from_list(rows)
        datasets.DatasetDict({"train": saved, "test": saved}).save_to_disk(str(tmp_path))
    corpus = load_corpus(data_config(path=str(tmp_path)))
    assert corpus.class_names == tuple(map(str, present))
    assert corpus.dropped == {"train": 1, "test": 1}


@given(rows=st.integers(20, 200), gaps=st.integers(0, 30))
@example(rows=20, gaps=1)
@example(rows=140, gaps=7)
@example(rows=139, gaps=7)
def test_up_to_a_twentieth_may_be_missing(made, refused, rows, gaps):
    texts = [""] * gaps + ["text"] * (rows - gaps)
    labels = [number % 2 for number in range(rows)]
    if 20 * gaps <= rows:
        assert made(texts, labels).dropped["train"] == gaps
    elif gaps < rows:
        with refused("here: train", f"{gaps} of {rows} rows have no text or no label", f"{MOST_DROPPED:.0%}"):
            made(texts, labels)


@pytest.mark.parametrize("texts", [["", " "], [None, None], []])
def test_no_text_at_all_is_refused(data_config, texts, refused):
    rows = datasets.Dataset.from_dict({"text": texts, "label": ["a", "b"][: len(texts)]})
    with refused("here: train has no row with a text and a label", f"there are {len(texts)} rows"):
        make_corpus(data_config(), "here", dict.fromkeys(BOTH, rows))


def test_a_test_label_that_no_training_row_has_is_refused(made, refused):
    with refused("here: test: label 'c'", "a, b"):
        made(["x"] * 4, ["a", "b"] * 2, test=(["y"], ["c"]))
    names = datasets.ClassLabel(names=["a", "b", "c"])  # known as a class, but with nothing to learn it from
    with refused("here: test: no training row has label 'c'"):
        made(["x"] * 4, [0, 1] * 2, test=(["y"], [2]), types={"label": names})


def test_the_file_s_names_for_numbers_are_kept(made):
    corpus = made(["x"] * 4, [1, 0] * 2, types={"label": datasets.ClassLabel(names=["no", "yes"])})
    assert corpus.class_names == ("no", "yes")
    assert corpus.splits["train"]["label"][:] == [1, 0] * 2


def test_minus_one_is_no_label_where_the_file_names_its_classes(made, refused):
    kind = {"label": datasets.ClassLabel(names=["no", "yes"])}
    corpus = made(["x"] * 40, [0, 1] * 19 + [0, -1], types=kind)
    assert corpus.dropped["train"] == 1
    with refused("here: test has no row with a text and a label"):  # a test split whose labels are kept secret
        made(["x"] * 4, [0, 1] * 2, test=(["x", "y"], [-1, -1]), types=kind)


def test_the_same_number_for_another_name_is_the_other_class(data_config, rows_of):
    splits = {
        "train": rows_of(["x"] * 4, [0, 1] * 2, label=datasets.ClassLabel(names=["no", "yes"])),
        "test": rows_of(["x", "y"], [0, 0], label=datasets.ClassLabel(names=["yes", "no"])),
    }
    assert make_corpus(data_config(), "here", splits).splits["test"]["label"][:] == [1, 1]


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".jsonl"])
def test_a_corpus_has_the_same_fingerprints_wherever_it_is_read_from(tmp_path, data_config, ending, rows_of):
    texts, labels = [f"text {number}, naïve" for number in range(50)], ["b", "a"] * 25
    frame = pd.DataFrame({"text": texts, "label": labels})
    for split in BOTH:
        path = tmp_path / f"{split}{ending}"
        if ending == ".parquet":
            frame.to_parquet(path)
        elif ending == ".csv":
            frame.to_csv(path)
        else:
            frame.to_json(path, orient="records", lines=True)
    read = load_corpus(data_config(path=str(tmp_path)))
    chunks = rows_of(["gap", *texts], ["a", *labels]).select(range(1, 51)).with_format("arrow")[:]
    pieces = datasets.Dataset(pa.concat_tables([chunks[:9], chunks[9:]]))
    built = make_corpus(data_config(), "elsewhere", dict.fromkeys(BOTH, pieces))
    assert read.fingerprints == built.fingerprints
    assert read.fingerprints == {split: read.splits[split]._fingerprint for split in BOTH}


def test_another_text_label_or_boundary_is_another_fingerprint(made):
    corpora = [
        made(["ab", "c"] * 2, [0, 1] * 2), made(["a", "bc"] * 2, [0, 1] * 2), made(["ab", "d"] * 2, [0, 1] * 2),
        made(["ab", "c"] * 2, [1, 0] * 2),
    ]  # fmt: skip
    assert len({corpus.splits["train"]._fingerprint for corpus in corpora}) == len(corpora)


def test_a_path_comes_before_the_hub_and_before_pydocs(tmp_path, data_config):
    for split in BOTH:
        pd.DataFrame({"text": ["x", "y"] * 2, "label": [0, 1] * 2}).to_parquet(tmp_path / f"{split}.parquet")
    news = load_corpus(data_config(name="AG News", hub="fancyzhx/ag_news", path=str(tmp_path)))
    assert (news.name, news.source) == ("AG News", str(tmp_path))
    assert (
        load_corpus(data_config(name="PyDocs", path=str(tmp_path))).name == "files"
    )  # whatever it is, it is not PyDocs


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch, refused):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr("lt_lightning.data.corpus.HF_DATASETS_CACHE", tmp_path / "file")
    with refused("HF_DATASETS_CACHE", str(tmp_path / "file"), "set it to another folder"):
        cache_folder()


@pytest.mark.slow
def test_reading_files_imports_no_torch_and_writes_nothing(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    for split in BOTH:
        pd.DataFrame({"text": ["x", "y"] * 2, "label": [0, 1] * 2}).to_csv(folder / f"{split}.csv")
    code = """
import sys
from lt_lightning.config.sources import Texts
from lt_lightning.data.sources import files
from lt_lightning.data.sources import hub
from lt_lightning.data.sources import pydocs
from lt_lightning.data.corpus import load_corpus
load_corpus(Texts(path=sys.argv[1], test_fraction=None))
print({"torch", "pytorch_lightning", "tokenizers"} & set(sys.modules))
"""
    environment = {"PATH": "", "HOME": str(tmp_path / "home"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        cwd=folder,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("set()\n", "")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["corpus", "test.csv", "train.csv"]


def shared(name: str) -> Path:
    folder = Path(__file__).parents[3] / "shared/data" / name
    return folder if folder.is_dir() else pytest.skip(f"needs {name} in ../shared/data")


def test_ag_news_is_what_its_readme_says(data_config):
    path = shared("ag_news")
    corpus = load_corpus(data_config(path=str(path), class_names=["World", "Sports", "Business", "Sci/Tech"]))
    assert {split: len(rows) for split, rows in corpus.splits.items()} == {"train": 28_163, "test": 7_600}
    counts = pd.Series(corpus.splits["train"]["label"][:]).value_counts().sort_index().tolist()
    assert counts == [7_825, 6_310, 6_314, 7_714]
    assert corpus.dropped == {"train": 0, "test": 0}


def test_imdb_is_what_its_readme_says(data_config):
    corpus = load_corpus(data_config(path=str(shared("imdb")), class_names=["negative", "positive"]))
    assert {split: len(rows) for split, rows in corpus.splits.items()} == {"train": 25_000, "test": 25_000}
    assert {sum(rows["label"][:]) for rows in corpus.splits.values()} == {12_500}


@pytest.mark.skipif(os.name != "posix", reason="owners and modes are POSIX's")
def test_no_other_user_can_write_in_the_cache(own_cache):
    own_cache.mkdir(parents=True)
    own_cache.chmod(0o777)
    assert cache_folder() == own_cache
    assert not own_cache.stat().st_mode & 0o022


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give files away")
def test_who_shares_a_cache_has_a_folder_of_her_own(own_cache, refused):
    own_cache.mkdir(parents=True)
    os.chown(own_cache, 1234, -1)
    assert cache_folder() == own_cache.with_name("lt_lightning_0")
    os.chown(own_cache.with_name("lt_lightning_0"), 1234, -1)
    with refused("HF_DATASETS_CACHE: cannot write to", "it belongs to another user, 1234"):
        cache_folder()
