"""Compare a built-in corpus with the reference corpus, which the numbers of README and docs/results.md are of.

The corpora are made of installed libraries: with other versions of these they are other corpora.
"""

from __future__ import annotations

from collections.abc import Mapping

from lt_lightning.data.sources.installed import find_version

VERSIONS = {"sympy": "1.14.0", "networkx": "3.6.1", "pandas": "3.1.1", "matplotlib": "3.11.2"}
"""The versions of the libraries, as in constraints.txt and the extra `pydocs`."""

FINGERPRINTS: Mapping[str, Mapping[str, str]] = {
    "pydocs": {"train": "0a15c003d56a163a", "test": "f418b9f8ed6640df"},
    "names-split": {"train": "88897d6e27fffae5", "test": "8eb2bbc27989b3bc"},
    "names-written": {"train": "da637a434f48b254", "test": "a103ce272d5e93f3"},
}
"""The fingerprints of the splits of each corpus; see `data.fingerprint`."""


def describe_difference(corpus: str, fingerprints: Mapping[str, str]) -> str:
    """Return how a corpus differs from the reference and what to do, in a line; nothing if it is the reference.

    Args:
        corpus: a key of `FINGERPRINTS`.
        fingerprints: those of its splits.
    """
    if fingerprints == FINGERPRINTS[corpus]:
        return ""
    found = {library: find_version(library) for library in VERSIONS}
    others = [f"{library} {found[library]}, not {one}" for library, one in VERSIONS.items() if found[library] != one]
    why = "; ".join(others) or "the versions are the same, but the installed files are not those on PyPI"
    return f"not the reference corpus, so numbers differ from README's ({why}): pip install 'lt-lightning[pydocs]'"
