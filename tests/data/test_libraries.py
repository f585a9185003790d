"""The libraries: which of their files are read, what is defined there, and what names them."""

import ast
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from lt_lightning.data.sources.installed import LIBRARY_NAME, definitions, mask_libraries


def test_definitions_are_all_that_a_walk_through_a_real_file_finds():
    tree = ast.parse(Path(ast.__file__).read_text(encoding="utf-8"))
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    assert set(definitions(tree)) == {node for node in ast.walk(tree) if isinstance(node, kinds)}


PIECES = [
    "sympy", "NX", "pd", "Mpl", "matplotLIB", "ſympy", "networK\u212ax", "ſymPy", " ", "_", ".", "x", "é", "2",
    "plt,",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES)).map("".join) | st.text(max_size=30))
@example("NETWOR\u212aX and \u017fympy, in letters that are the same as others in capitals alone")
@example("no library, complt")
def test_names_are_masked_wherever_the_pattern_finds_them(text):
    assert mask_libraries(text, "library") == LIBRARY_NAME.sub("library", text)
