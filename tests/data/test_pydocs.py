"""PyDocs: that the splits are what they claim to be, and are read once."""

import gc
import importlib.metadata
import itertools
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pytest

from lt_lightning.data.sources import built_in, pydocs, reference
from lt_lightning.data.sources.installed import LIBRARIES, Installed, find_installed
from lt_lightning.data.sources.pydocs import Paragraph, harvest, load_pydocs, select
from lt_lightning.data.splits import stratified_split
from lt_lightning.errors import SettingError
from lt_lightning.storage import cache as kept

# Written anew rather than taken from the module: what nobody may find in the corpus.
GIVEAWAY = re.compile(
    r"sympy|networkx|pandas|matplotlib|mpl_toolkits|pyplot|pylab|(?:^|[\W_])(?:nx|pd|plt|mpl)(?:$|[\W_])", re.IGNORECASE
)


def rows(library: str, texts: list[str], files: int = 40) -> list[Paragraph]:
    return [Paragraph(text, library, f"f{index % files}.py") for index, text in enumerate(texts)]


def spelled(number: int) -> str:
    return "".join(chr(ord("a") + int(digit)) for digit in str(number))


@pytest.fixture
def some() -> list[Paragraph]:
    sizes = dict(zip(LIBRARIES, (200, 300, 400, 500), strict=True))
    return [
        row
        for library, size in sizes.items()
        for row in rows(library, [f"{library} {spelled(n)}" for n in range(size)])
    ]


def test_splits_share_no_file_and_have_classes_of_one_size(some):
    splits = select(some)
    assert set(splits) == {"train", "test"}
    files = {split: {(row.library, row.file) for row in members} for split, members in splits.items()}
    assert not files["train"] & files["test"]
    assert 0.05 < len(files["test"]) / len(files["train"] | files["test"]) < 0.4
    for members in splits.values():
        assert len(set(Counter(row.library for row in members).values())) == 1
        assert {row.library for row in members} == set(LIBRARIES)


def test_a_split_holds_all_that_the_smallest_class_has(some):
    # Within one split everything of some class is there: no more is dropped than equal sizes ask for.
    for members in select(some).values():
        present = {row.text for row in members}
        kept = {(row.library, row.file) for row in members}
        dropped = {row.library for row in some if (row.library, row.file) in kept and row.text not in present}
        assert len(dropped) == 3


def test_the_seed_draws_rows_and_order_but_not_files(some):
    one, other = select(some, seed=0), select(some, seed=1)
    assert one == select(some, seed=0)
    for split in one:
        assert one[split] != other[split]
    in_train = {(row.library, row.file) for row in [*one["train"], *other["train"]]}
    in_test = {(row.library, row.file) for row in [*one["test"], *other["test"]]}
    assert not in_train & in_test


def test_a_text_of_two_libraries_goes_and_a_repeat_is_kept_once(some):
    shared = "a text that two of the libraries share"
    repeats = ["A repeated text, of file 1", "a repeated text of file 2!"]  # the same words
    extra = [*rows("sympy", [shared, *repeats, repeats[0]], 3), *rows("networkx", [shared.upper()])]
    # The smallest class keeps everything, so that a text's absence is not the cap's doing.
    kept = [row.text for members in select([*extra, *some]).values() for row in members]
    assert len(kept) == len(set(kept))
    assert shared not in kept
    assert shared.upper() not in kept
    assert sum("repeated" in text for text in kept) == 1


# The real corpus, harvested once for all tests below.


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache") / "below"


@pytest.fixture(scope="module")
def corpus(cache) -> Mapping[str, datasets.Dataset]:
    # In another process, where no types are checked: that makes reading a million lines three times as slow.
    code = (
        "import sys; from pathlib import Path; from lt_lightning.data.sources.pydocs import load_pydocs;"
        "load_pydocs(Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", code, str(cache)], check=True)
    return load_pydocs(cache)


@pytest.mark.slow
def test_the_corpus_has_the_promised_form(corpus):
    assert list(corpus) == ["train", "test"]
    for split in corpus.values():
        assert split.features == datasets.Features(
            {
                "text": datasets.Value("string"),
                "label": datasets.ClassLabel(names=list(LIBRARIES)),
                "group": datasets.Value("int64"),
            }
        )
        sizes = Counter(split["label"])
        assert set(sizes) == {0, 1, 2, 3}
        assert len(set(sizes.values())) == 1
    assert 20_000 <= sum(map(len, corpus.values())) <= 35_000
    assert 0.1 < len(corpus["test"]) / sum(map(len, corpus.values())) < 0.3


@pytest.mark.slow
def test_the_reference_versions_give_the_reference_corpus(corpus):
    installed = {library: importlib.metadata.version(library) for library in LIBRARIES}
    if installed != reference.VERSIONS:
        pytest.skip(f"needs the versions of constraints.txt, not {installed}")
    assert {split: rows._fingerprint for split, rows in corpus.items()} == reference.FINGERPRINTS["pydocs"]


@pytest.mark.slow
def test_every_paragraph_is_prose_that_names_no_library(corpus):
    texts = [text for split in corpus.values() for text in split["text"]]
    assert len(texts) == len(set(texts))
    assert [text for text in texts if len(text.split()) < 8] == []
    assert [text for text in texts if text != " ".join(text.split())] == []
    assert [text for text in texts if GIVEAWAY.search(text)] == []
    assert [text for text in texts if ">>>" in text or "----------" in text] == []
    assert 15 < sum(len(text.split()) for text in texts) / len(texts) < 30


@pytest.mark.slow
def test_no_source_file_has_rows_in_two_parts(corpus):
    files: dict[str, set[str]] = {}
    for row in harvest(find_installed("networkx", "pydocs")):
        files.setdefault(row.text, set()).add(row.file)
    labels, groups = (np.array(corpus["train"][column]) for column in ("label", "group"))
    assert not {*groups} & {*corpus["test"]["group"]}
    drawn = []
    for seed in range(3):
        parts = stratified_split(labels, 0.3, seed, groups=groups)
        texts = [*(corpus["train"].select(rows)["text"] for rows in parts), corpus["test"]["text"]]
        of = [{file for text in some if len(files.get(text, ())) == 1 for file in files[text]} for some in texts]
        assert not (of[0] & of[1] or of[0] & of[2] or of[1] & of[2])
        assert min(map(len, of)) > 20
        assert abs(len(parts[1]) / len(labels) - 0.3) < 0.002
        assert np.ptp(np.bincount(labels[parts[1]])) < 20  # of 1,470
        drawn.append(of[1])
    assert all(len(one & other) < 0.7 * len(one) for one, other in itertools.pairwise(drawn))


@pytest.mark.slow
def test_the_cached_corpus_is_the_harvested_one(corpus, cache, monkeypatch):
    monkeypatch.setattr(pydocs, "harvest", lambda *_: pytest.fail("harvested again"))
    again = load_pydocs(cache)
    for split in corpus:
        assert again[split].to_dict() == corpus[split].to_dict()
        assert again[split]._fingerprint == corpus[split]._fingerprint
    assert [path.name for path in cache.iterdir()] == [path.name for path in cache.glob("pydocs-v*")]


@pytest.mark.slow
def test_another_process_sees_the_same_fingerprints_and_imports_no_library(corpus, cache):
    code = (
        "import sys; from pathlib import Path; from lt_lightning.data.sources.pydocs import load_pydocs;"
        "print(*[split._fingerprint for split in load_pydocs(Path(sys.argv[1])).values()]);"
        "print(*{'sympy', 'networkx', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(cache)], capture_output=True, text=True, check=True)
    assert done.stdout == " ".join(split._fingerprint for split in corpus.values()) + "\n\n"


# The cache, on a corpus of fake packages.


@pytest.fixture
def all_fake(tmp_path, monkeypatch) -> None:
    """Let four fake packages of many files stand in for the libraries."""
    roots = {}
    for number, library in enumerate(LIBRARIES):
        roots[library] = tmp_path / "fake" / library
        roots[library].mkdir(parents=True)
        for n in range(30):
            (roots[library] / f"m{n}.py").write_text(
                f'"""{spelled(1000 * number + n)} is a paragraph of some eight words."""'
            )

    def find(library: str, _: str) -> Installed:
        return Installed.of_folder(library, "1.0", roots[library])

    monkeypatch.setattr(built_in, "find_installed", find)


@pytest.fixture(params=["shown", "hidden"])
def progress_bars(request: pytest.FixtureRequest) -> Iterator[str]:
    """Let the process show the bars of `datasets`, or hide them, and set them back as they were."""
    before = datasets.are_progress_bars_disabled()
    _set_progress_bars(request.param == "hidden")
    yield request.param
    _set_progress_bars(before)


def _set_progress_bars(hidden: bool) -> None:
    (datasets.disable_progress_bars if hidden else datasets.enable_progress_bars)()


def test_making_the_corpus_shows_no_bar_and_leaves_the_process_as_it_was(all_fake, progress_bars, tmp_path, capfd):
    load_pydocs(tmp_path / "cache")
    assert capfd.readouterr() == ("", "")
    assert gc.isenabled()
    assert datasets.are_progress_bars_disabled() == (progress_bars == "hidden")


def test_the_process_that_comes_second_takes_what_the_first_wrote(all_fake, tmp_path, monkeypatch):
    keep = kept.keep

    def keep_twice(path, arrays):
        keep(path, arrays)  # the other process, between our look at the cache and our writing to it
        keep(path, arrays)

    monkeypatch.setattr(kept, "keep", keep_twice)
    corpus = load_pydocs(tmp_path / "cache")
    assert len(corpus["train"]) > 0
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_an_interrupted_save_leaves_nothing(all_fake, tmp_path, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(kept, "_bytes_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_pydocs(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_other_files_another_version_or_seed_is_another_file_of_the_cache(all_fake, tmp_path, monkeypatch):
    first = load_pydocs(tmp_path / "cache")
    other = load_pydocs(tmp_path / "cache", seed=1)
    assert first["train"]["text"][:] != other["train"]["text"][:]
    (tmp_path / "fake/networkx/m7.py").write_text('"""A paragraph of some eight words that was not there."""')
    load_pydocs(tmp_path / "cache")
    find = built_in.find_installed
    monkeypatch.setattr(built_in, "find_installed", lambda *asked: replace(find(*asked), version="2.0"))
    load_pydocs(tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 4


@pytest.mark.parametrize("change", [
    lambda arrays: {**arrays, "train_labels": arrays["train_labels"] + 1},
    lambda arrays: {**arrays, "train_places": arrays["train_places"] * 2},
    lambda arrays: {**arrays, "test_letters": arrays["test_letters"] | np.uint8(128)},
    lambda arrays: {**arrays, "test_labels": arrays["test_labels"][1:]},
    lambda arrays: {name: array for name, array in arrays.items() if name != "test_places"},
    lambda arrays: {name: array for name, array in arrays.items() if name != "train_groups"},
    lambda arrays: {**arrays, "train_places": arrays["train_places"].astype(np.int64)},
])  # fmt: skip
def test_a_cache_out_of_range_is_named_and_made_anew(all_fake, tmp_path, caplog, change):
    first = load_pydocs(tmp_path / "cache")
    [file] = (tmp_path / "cache").iterdir()
    kept.keep(file, change({name: np.array(array) for name, array in kept.recall(file).items()}))
    for _ in range(2):
        again = load_pydocs(tmp_path / "cache")
        assert all(again[split].to_dict() == first[split].to_dict() for split in ("train", "test"))
    assert [message.split(" (")[0] for message in caplog.messages] == ["the cache of data=pydocs is damaged"]


@pytest.mark.parametrize("missing", LIBRARIES)
def test_a_library_that_is_not_installed_is_named_with_the_remedy(missing, tmp_path, monkeypatch):
    distributions = importlib.metadata.distributions

    def without(name: str, path: list[str]) -> Iterable[importlib.metadata.Distribution]:
        return () if name == missing else distributions(name=name, path=path)

    monkeypatch.setattr(importlib.metadata, "distributions", without)
    with pytest.raises(
        SettingError, match=rf"data=pydocs reads {missing}.*pip install 'lt-lightning\[pydocs\]'$"
    ) as raised:
        load_pydocs(tmp_path / "cache")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_written_costs_time_alone(all_fake, tmp_path, caplog, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept, "open_whole", full)
    assert len(load_pydocs(tmp_path / "cache")["train"]) > 0
    [message] = caplog.messages
    assert message.startswith("data=pydocs cannot be cached") and message.endswith("No space left on device)")
