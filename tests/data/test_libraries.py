"""The libraries: which of their files are read, what is defined there, and what names them."""

from __future__ import annotations

import ast
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from lt_lightning.data.sources.installed import (
    LIBRARY_NAME,
    Installed,
    definitions,
    mask_libraries,
    parsed_files,
)

SOURCE = """
class A:
    def method(self):
        def inner(): ...
        class Local: ...
try:
    import nothing
except ImportError:
    async def fallback(): ...
match 1:
    case 1:
        def matched(): ...
if True:
    with open("x") as file:
        for _ in file:
            def deep(): ...
"""


def test_definitions_are_found_wherever_they_stand_outer_ones_first():
    names = [node.name for node in definitions(ast.parse(SOURCE))]
    assert names == ["A", "method", "inner", "Local", "fallback", "matched", "deep"]


def test_definitions_are_all_that_a_walk_through_a_real_file_finds():
    tree = ast.parse(Path(ast.__file__).read_text(encoding="utf-8"))
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    assert set(definitions(tree)) == {node for node in ast.walk(tree) if isinstance(node, kinds)}


def test_files_are_parsed_in_order_without_tests_and_what_does_not_parse(tmp_path):
    for name in ("b.py", "a/c.py", "a.py", "tests/x.py", "a/tests/x.py", "test_x.py", "x.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("x = 1")
    (tmp_path / "broken.py").write_text("def")
    (tmp_path / "warned.py").write_text(r"'\d'")
    library = Installed.of_folder("sympy", "1.0", tmp_path)
    assert [name for name, _ in parsed_files(library)] == ["a.py", "a/c.py", "b.py", "warned.py"]


PIECES = [
    "sympy",
    "NX",
    "pd",
    "Mpl",
    "matplotLIB",
    "ſympy",
    "networK\u212ax",
    "ſymPy",
    " ",
    "_",
    ".",
    "x",
    "é",
    "2",
    "plt,",
]


@given(st.lists(st.sampled_from(PIECES)).map("".join) | st.text(max_size=30))
@example("NETWOR\u212aX and \u017fympy, in letters that are the same as others in capitals alone")
@example("no library, complt")
def test_names_are_masked_wherever_the_pattern_finds_them(text):
    assert mask_libraries(text, "library") == LIBRARY_NAME.sub("library", text)
