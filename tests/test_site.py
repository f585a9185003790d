"""The documentation builds as a site: all pages, no broken link, nothing from another server."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
CONFIG = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
PACKAGES = [f"lt_lightning{name}" for name in ("", ".lottery", ".callbacks", ".tickets", ".models", ".runs")]
REFERENCES = "\n".join(path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("api/*.md")))


def pages(nav: Any) -> Iterator[str]:
    """Yield the pages of a navigation."""
    if isinstance(nav, str):
        yield nav
    else:
        for one in nav.values() if isinstance(nav, dict) else nav:
            yield from pages(one)


def public_names() -> Iterator[str]:
    for package in PACKAGES:
        names = importlib.import_module(package).__all__
        yield from (f"{package}.{name}" for name in names if name not in ("__version__", "Ticket"))
    yield "lt_lightning.tickets.Ticket"


def test_every_page_is_in_the_navigation() -> None:
    found = [path.relative_to(DOCS).as_posix() for pattern in ("*.md", "api/*.md") for path in DOCS.glob(pattern)]
    listed = Counter(pages(CONFIG["nav"]))
    assert [page for page in found if page not in listed] == []
    assert set(listed.values()) == {1}


def test_every_public_name_is_in_the_api_reference() -> None:
    listed = set(re.findall(r"^::: ([\w.]+)$", REFERENCES, re.MULTILINE))
    assert [name for name in public_names() if name not in listed] == []


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted(DOCS.glob("*.md"))], ids=lambda path: path.name)
def test_a_page_has_the_same_structure_on_the_site_as_on_github(page: Path) -> None:
    """Python-Markdown, unlike GitHub, asks for an empty line before lists and for four spaces in nested ones."""
    markdown = pytest.importorskip("markdown", reason="part of the extra docs")
    pytest.importorskip("pymdownx", reason="part of the extra docs")
    from markdown_it import MarkdownIt

    extensions = [name if isinstance(name, str) else next(iter(name)) for name in CONFIG["markdown_extensions"]]
    text = page.read_text(encoding="utf-8")
    plain = {"pymdownx.highlight": {"use_pygments": False}}
    site = markdown.markdown(text, extensions=extensions, extension_configs=plain)
    github = MarkdownIt("commonmark").enable("table").render(text)

    def count(html: str) -> Counter[str]:
        return Counter(re.findall(r"<(h\d|p|ul|ol|li|tr|td|th|pre|blockquote|img|em|strong)\b", html))

    assert count(site) == count(github)


@pytest.mark.slow
def test_the_site_is_whole_and_fetches_nothing(tmp_path: Path) -> None:
    for package in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(package, reason="part of the extra docs")
    site = tmp_path / "site"
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    html = {path.relative_to(site).as_posix(): path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    assert {page.replace(".md", ".html") for page in pages(CONFIG["nav"])} <= html.keys()
    fetches_nothing(html, site)
    links_lead_somewhere(html, site)
    names_are_explained(html)
    words = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))["docs"]
    assert any("PruningCallback" in one["title"] for one in words)
    assert [path.name for path in site.rglob("*") if path.suffix in (".csv", ".py", ".ipynb")] == []


def fetches_nothing(html: dict[str, str], site: Path) -> None:
    loaded = r"<(?:script|link|img|iframe|source|video|audio|object|embed)\b[^>]*?\b(?:src|href|data)=\"?(?:https?:)?//"
    assert [name for name, text in html.items() if re.search(loaded, text)] == []
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", styles)
    # With an address of a repository, the theme's script asks GitHub about it.
    assert not any('data-md-component="source"' in text for text in html.values())


def links_lead_somewhere(html: dict[str, str], site: Path) -> None:
    """Also those that the hooks write, which MkDocs does not check."""
    for name, text in html.items():
        if name == "404.html":  # its links begin at the root of a server
            continue
        for target in re.findall(r"<(?:a|img)\b[^>]*?\b(?:href|src)=\"([^\"#:]+)(?:#[^\"]*)?\"", text):
            assert (site / name).parent.joinpath(target).exists(), f"{name}: {target}"


def names_are_explained(html: dict[str, str]) -> None:
    reference = "".join(text for name, text in html.items() if name.startswith("api/"))
    assert [name for name in public_names() if f'id="{name}"' not in reference] == []
    # Examples are code, arguments are lists, names are links.
    assert "<blockquote>" not in reference
    assert "doctest: +SKIP" not in reference
    assert "<p>Args:" not in reference
    assert re.search(r'<a[^>]*href="[^"]*#lt_lightning\.lottery\.Settings"[^>]*><code>', html["api/callbacks.html"])
    assert re.search(r'<a href="\.\./callback\.html"><code>docs/callback\.md', html["api/callbacks.html"])
