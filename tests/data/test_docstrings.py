"""Docstrings: what of them is read, what is left out, and what is masked."""

import textwrap
from collections import Counter
from pathlib import Path

import pytest

from lt_lightning.data.sources.installed import Installed
from lt_lightning.data.sources.pydocs import harvest, paragraphs

DOCSTRING = r"""
    Return the mean of all of the values in a bag, `.Weights` permitting [1]_.

    The mean is :math:`\mu`, see :func:`~bags.median` and `this page <http://example.org>`_ for
    *robust* alternatives to the ``mean`` of the values.

    .. note:: Empty bags have no mean and give a ``nan`` in place of one.

    .. code-block:: python

        this is code and never read, however many letters and words it has

    .. deprecated:: 1.2
       Use something else in place of this function that nobody maintains.

    For example, the mean of the numbers below is two and a half::

        one literal block, which is not read, however many words it may have

    Parameters
    ----------
    bag : Bag, or a list of numbers, or whatever else has an iterator over numbers
        The values of which the mean is wanted, of any numeric type.
    weights, biases : list of numbers, one each for every value, not read
        One number for each of the values that are in the bag.

    A list of the three rules that it keeps to:

    - the first item of this list has two lines
      and hangs out to the left;
    - the second item of this list has one line.
    * too short

    ==========  =====================================================
    Name        What it means, in a table that is not read as prose
    ==========  =====================================================

    >>> mean(bag)  # this is a doctest, which nobody ever reads as prose
    this output of the doctest is not prose either, is it

    f(x) = (x + 1) * (x - 1) / 2 + [3 * x] - {4 * y} = 0

    See Also
    --------
    median : The value in the middle of all, when they are sorted by size.

    Notes
    -----
    What stands in the notes below the references' title is read.

    References
    ----------
    .. [1] A. Author and B. Author. A book about the means of many values. 1999.
    Another author of another book on means, who is not cited anywhere.
"""

PROSE = [
    "Return the mean of all of the values in a bag, Weights permitting [1].",
    r"The mean is \mu, see bags.median and this page for robust alternatives to the mean of the values.",
    "Empty bags have no mean and give a nan in place of one.",
    "For example, the mean of the numbers below is two and a half:",
    "The values of which the mean is wanted, of any numeric type.",
    "One number for each of the values that are in the bag.", "A list of the three rules that it keeps to:",
    "the first item of this list has two lines and hangs out to the left;",
    "the second item of this list has one line.", "What stands in the notes below the references' title is read.",
]  # fmt: skip


def test_prose_is_kept_and_everything_else_dropped():
    assert list(paragraphs(DOCSTRING)) == PROSE


@pytest.mark.parametrize(("words", "kept"), [(7, False), (8, True)])
def test_a_paragraph_has_at_least_eight_words(words, kept):
    assert bool(list(paragraphs("word " * words))) == kept


@pytest.mark.parametrize("text", ["the numbers 1. to 9. are meant here, each of\n9. and of 8. once or twice"])
def test_a_wrapped_line_that_begins_like_an_item_is_not_one(text):
    assert list(paragraphs(text)) == [text.replace("\n", " ")]


@pytest.mark.parametrize(("name", "masked"), [
    ("SymPy", "library"), ("nx.Graph", "library.Graph"), ("pandas.DataFrame", "library.DataFrame"),
    ("mpl_toolkits.mplot3d", "library.mplot3d"), ("matplotlib.pyplot", "library.library"),
    ("to_networkx_graph", "to_library_graph"), ("NetworkXError", "libraryError"), ("matplotlibrc", "libraryrc"),
    ("pd", "library"), ("simple", "simple"), ("pdf", "pdf"), ("complt", "complt"),
])  # fmt: skip
def test_names_are_masked_wherever_they_stand(name, masked):
    [text] = paragraphs(f"This is a sentence of eight words: {name}.")
    assert text == f"This is a sentence of eight words: {masked}."


@pytest.fixture
def fake(tmp_path) -> Path:
    def write(name: str, source: str | bytes) -> None:
        path = tmp_path / "fake" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source if isinstance(source, bytes) else textwrap.dedent(source).encode())

    write(
        "a.py",
        '''
        """The module's docstring is a paragraph of the corpus."""
        raise RuntimeError("imported")
        class Class:
            """The class's docstring is a paragraph of the corpus."""
            def method(self):
                """The method's docstring is a paragraph of the corpus, naïve?"""
                def inner():
                    """The inner function's docstring is a paragraph of it."""
        try:
            import nothing
        except ImportError:
            async def coroutine():
                """The coroutine's docstring is \\a paragraph of the corpus."""
        """A string that is no docstring is no paragraph of it."""
        ''',
    )
    write("deep/er/b.py", '"""The deeper module\'s docstring is a paragraph of it."""')
    write("tests/c.py", '"""What the tests have to say is not worth reading."""')
    write("test_d.py", '"""What the tests have to say is not worth reading."""')
    write("bad.py", '"""What does not parse is not read, it is skipped."""\ndef')
    write("latin.py", '"""What is not in utf-8 is skipped: na\xefve as well."""'.encode("latin-1"))
    write("null.py", b'"""What holds a null byte is skipped as well, yes."""\n\0')
    write("e.txt", '"""What is not a Python file is not read at all."""')
    return tmp_path / "fake"


def test_harvest_reads_the_docstrings_of_a_package_without_importing_it(fake):
    found = harvest(Installed.of_folder("sympy", "1.0", fake))
    assert Counter(row.text for row in found) == Counter(
        [
            "The module's docstring is a paragraph of the corpus.",
            "The class's docstring is a paragraph of the corpus.",
            "The method's docstring is a paragraph of the corpus, naïve?",
            "The inner function's docstring is a paragraph of it.",
            r"The coroutine's docstring is \a paragraph of the corpus.".replace(r"\a", "\a"),
            "The deeper module's docstring is a paragraph of it.",
        ]
    )
    assert {(row.library, row.file) for row in found} == {("sympy", "a.py"), ("sympy", "deep/er/b.py")}
