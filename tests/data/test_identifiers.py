"""Names: what is read of a library, how a name is shown, what gives it away, and that the splits share none."""

import importlib.metadata
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import datasets
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lt_lightning.config.sources import Names
from lt_lightning.data import corpus
from lt_lightning.data.sources import built_in, reference
from lt_lightning.data.sources.installed import LIBRARIES, Installed
from lt_lightning.data.sources.names import Name, harvest, load_names, names_a_library, select, words


def folded(name: str) -> str:
    return "".join(character for character in name if character.isalnum()).casefold()


@pytest.mark.parametrize(("name", "shown"), [
    ("read_csv", "read csv"), ("readCsv", "read csv"), ("DataFrame", "data frame"), ("_private_", "private"),
    ("__mangled", "mangled"), ("HTTPServer", "http server"), ("HTTPServer2D", "http server 2d"),
    ("to2DArray", "to 2d array"), ("take_2d_multi", "take 2d multi"), ("Axes3DSubplot", "axes 3d subplot"),
    ("float64", "float 64"), ("UInt8Dtype", "u int 8 dtype"), ("ndarray2list", "ndarray 2 list"),
    ("NavigationToolbar2GTK3", "navigation toolbar 2 gtk 3"), ("X", "x"), ("_", ""),
    ("naïveForm_Été", "naïve form été"),
])  # fmt: skip
def test_a_name_falls_into_its_words(name, shown):
    assert " ".join(words(name)) == shown


identifiers = st.text("abcXYZ019_éλ漢", max_size=20)


@given(identifiers)
def test_words_hold_every_letter_and_digit_in_order(name):
    assert "".join(words(name)) == name.replace("_", "").lower()
    assert all(words(name))


@given(st.lists(st.from_regex(r"[a-z]{2,6}", fullmatch=True), min_size=1, max_size=5))
def test_however_words_are_joined_they_are_found_again(parts):
    camel = "".join(part.capitalize() for part in parts)
    for name in ("_".join(parts), "_" + "__".join(parts) + "_", camel, camel[0].lower() + camel[1:]):
        assert words(name) == parts
    assert words("_".join(parts).upper()) == parts


@pytest.mark.parametrize(
    "name",
    ["to_sympy", "SymPyTests", "NetworkXError", "from_pandas_edgelist", "matplotlib_fname", "add_nx", "pd", "MPLPlot",
     "FigureMpl", "_event_mpl_coords", "asNX", "sympify", "CantSympify", "_plot_sympify"],
)  # fmt: skip
def test_a_name_that_holds_a_library_s_name_gives_it_away(name):
    assert names_a_library(name)


@pytest.mark.parametrize("name", ["simple", "update", "expand_as_sum", "lynx", "pdf", "PdfPages", "network_simplex"])
def test_a_name_that_merely_shares_letters_with_one_does_not(name):
    assert not names_a_library(name)


SOURCE = """
class Frame:
    def __init__(self): ...
    def _read_csv(self): ...
    def to_sympy(self): ...
    def __call__(self):
        async def innerHelper2D(): ...
def _(): ...
def _(): ...
def _read_csv(): ...
value = lambda: None
"""


@pytest.fixture
def fake(tmp_path) -> Path:
    (tmp_path / "tests").mkdir()
    (tmp_path / "a.py").write_text(SOURCE)
    (tmp_path / "b.py").write_text("def other(): ...\nraise RuntimeError('imported')")
    (tmp_path / "tests" / "c.py").write_text("def tested(): ...")
    (tmp_path / "broken.py").write_text("def broken(")
    return tmp_path


def test_names_are_read_as_written_or_in_words(fake):
    written = harvest(Installed.of_folder("pandas", "1.0", fake), split=False)
    assert [name.text for name in written] == ["Frame", "_read_csv", "innerHelper2D", "_read_csv", "other"]
    shown = harvest(Installed.of_folder("pandas", "1.0", fake), split=True)
    assert [name.text for name in shown] == ["frame", "read csv", "inner helper 2d", "read csv", "other"]
    assert {name.library for name in written + shown} == {"pandas"}


plain = st.text("abXY_", min_size=1, max_size=4)


@given(st.lists(st.tuples(plain, st.sampled_from(list(LIBRARIES))), max_size=150))
def test_splits_hold_no_name_twice_none_of_two_libraries_and_no_guise_of_a_tested_one(found):
    libraries: dict[str, set[str]] = {}
    for text, library in found:
        libraries.setdefault(text, set()).add(library)
    splits = select(Name(*row) for row in found)
    rows = [row for split in splits.values() for row in split]
    assert len({row.text for row in rows}) == len(rows)
    assert all(libraries[row.text] == {row.library} for row in rows)
    guises = [{folded(row.text) for row in splits[split]} for split in ("train", "test")]
    assert not guises[0] & guises[1]
    for split in splits.values():
        assert len({Counter(row.library for row in split)[library] for library in LIBRARIES}) == 1


def test_guises_within_a_library_are_kept():
    some = [Name(f"{'_' * (n % 2)}{library}{n // 2}", library) for library in LIBRARIES for n in range(400)]
    assert sum(map(len, select(some).values())) > 0.8 * len(some)


# The real names, read once for all tests below.


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache") / "below"


@pytest.fixture(scope="module", params=[False, True], ids=["written", "split"])
def names(request, cache) -> tuple[bool, Mapping[str, datasets.Dataset]]:
    # In another process, where no types are checked: that makes reading a million lines three times as slow.
    code = (
        "import sys; from pathlib import Path; from lt_lightning.data.sources.names import load_names;"
        "load_names(Path(sys.argv[1]), sys.argv[2] == 'True');"
        "print(*{'sympy', 'networkx', 'matplotlib', 'torch'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, str(cache), str(request.param)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.split() == []  # nothing is imported
    return request.param, load_names(cache, request.param)


# Written anew rather than taken from the module: what nobody may find in a name.
GIVEAWAY = re.compile(
    r"sympy|sympif|networkx|pandas|matplotlib|pyplot|pylab|(?:^|[ _])(?:nx|pd|plt|mpl)(?:$|[ _])", re.I
)


@pytest.mark.slow
def test_the_real_names_are_what_they_claim_to_be(names):
    split, splits = names
    assert list(splits) == ["train", "test"]
    texts = {part: list(rows["text"]) for part, rows in splits.items()}
    for rows in splits.values():
        assert rows.features["label"].names == list(LIBRARIES)
        assert len(set(Counter(rows["label"]).values())) == 1
    every = texts["train"] + texts["test"]
    assert 5_000 <= len(every) == len(set(every)) <= 12_000
    assert 0.15 < len(texts["test"]) / len(every) < 0.25
    assert not {folded(text) for text in texts["train"]} & {folded(text) for text in texts["test"]}
    assert [text for text in every if GIVEAWAY.search(text)] == []
    assert [text for text in every if text.startswith("__") and text.endswith("__")] == []
    if split:
        assert [text for text in every if not re.fullmatch(r"[a-z0-9]+( [a-z0-9]+)*", text)] == []
    else:
        assert [text for text in every if not text.isidentifier()] == []
        assert len({text[0] == "_" for text in every}) == 2


@pytest.mark.slow
def test_the_reference_versions_give_the_reference_names(names):
    split, splits = names
    installed = {library: importlib.metadata.version(library) for library in LIBRARIES}
    if installed != reference.VERSIONS:
        pytest.skip(f"needs the versions of constraints.txt, not {installed}")
    found = {part: rows._fingerprint for part, rows in splits.items()}
    assert found == reference.FINGERPRINTS["names-split" if split else "names-written"]


@pytest.mark.slow
def test_the_second_time_names_come_from_the_cache(names, cache, monkeypatch):
    split, first = names
    monkeypatch.setattr("lt_lightning.data.sources.names.harvest", lambda *_, **__: pytest.fail("read again"))
    again = load_names(cache, split)
    assert {part: rows._fingerprint for part, rows in again.items()} == {
        part: rows._fingerprint for part, rows in first.items()
    }


# The corpus, of fake packages.


def test_the_corpus_is_shown_as_asked_for_under_its_own_name(tmp_path, monkeypatch, data_config, own_cache):
    roots = {library: tmp_path / library for library in LIBRARIES}
    for number, root in enumerate(roots.values()):
        root.mkdir()
        (root / "m.py").write_text("\n".join(f"def do_{'abcd'[number]}{'x' * n}(): ..." for n in range(1, 40)))
    find = lambda library, _: Installed.of_folder(library, "1.0", roots[library])  # noqa: E731
    monkeypatch.setattr(built_in, "find_installed", find)
    config = Names()
    written = corpus.load_corpus(config)
    assert (written.name, written.source) == ("PyDocs names", "names in installed libraries")
    assert written.class_names == tuple(LIBRARIES)
    assert all(re.fullmatch("do_[a-d]x+", text) for text in written.splits["train"]["text"])
    shown = corpus.load_corpus(Names(split_names=True))
    assert all(re.fullmatch("do [a-d]x+", text) for text in shown.splits["train"]["text"])
    assert len([path for path in own_cache.iterdir() if path.name.startswith("names-v")]) == 2
