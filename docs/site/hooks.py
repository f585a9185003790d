"""MkDocs hooks: pages made from files outside docs/, and links that work on the site as in the repository.

- README.md, CHANGELOG.md, CONTRIBUTING.md and the notebooks in examples/ become pages.
- A link in a page leads to the page or figure of the site, if the site has the file, and otherwise to the repository.
  A link whose text is a file name, such as `docs/data.md`, gets the page's name in the navigation.
- `lt_lightning.lottery.prune` in code type leads to the API reference, `docs/callback.md` to the page.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import posixpath
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
REPOSITORY = "https://github.com/lt-lightning/lt-lightning"
_RAW = "https://raw.githubusercontent.com/lt-lightning/lt-lightning/main/"

PAGES: Mapping[str, str] = {
    "README.md": "index.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    **{f"examples/{path.name}": f"examples/{path.stem}.md" for path in sorted(ROOT.glob("examples/*.ipynb"))},
}
"""The pages that are made from files outside docs/."""

_LINK = re.compile(r"(?:\[`?(?:docs/)?(?P<name>[\w-]+\.md)`?\]|\])\((?P<target>[^)#\s]+)(?=[)#\s])")
_CODE = re.compile(r"<a\b.*?</a>|<h\d.*?</h\d>|<code>(?P<text>[\w./-]+)</code>", re.DOTALL)
_BETWEEN = re.compile(r"</pre>\s*<pre[^>]*>")
_log = logging.getLogger("mkdocs.hooks.links")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from files outside docs/."""
    for source, page in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        if source.endswith(".ipynb"):
            text, images = notebook_page(text, source)
            for name, content in images.items():
                files.append(File.generated(config, f"examples/{name}", content=content))
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead the links of a page to the site, or to the repository for what the site does not have."""
    del config
    here = page.file.src_uri
    folder = (ROOT / _source(here)).parent

    def lead(found: re.Match[str]) -> str:
        path = _linked_path(found["target"], folder)
        if path is None:
            return found[0]
        if not path.exists():
            _log.warning("%s: %s leads to a file that the repository does not have", here, found["target"])
        name = path.relative_to(ROOT).as_posix()
        file = files.get_file_from_path(PAGES.get(name, name.removeprefix("docs/"))) if path.is_file() else None
        if file is None or file.inclusion.is_excluded():
            kind = "tree" if path.is_dir() else "blob"
            return found[0].replace(found["target"], f"{REPOSITORY}/{kind}/main/{name}")
        title = file.page.title if found["name"] and file.page is not None else None
        text = f"[{title}](" if title else found[0].removesuffix(found["target"])
        return text + posixpath.relpath(file.src_uri, posixpath.dirname(here) or ".")

    return _LINK.sub(lead, markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Link names of this package in code type to the API reference, and names of pages to the pages."""
    del config

    def link(found: re.Match[str]) -> str:
        text = found["text"] or ""
        if text.startswith("lt_lightning."):
            return f'<autoref identifier="{text}" optional>{found[0]}</autoref>'
        file = files.get_file_from_path(PAGES.get(text, text.removeprefix("docs/"))) if text.endswith(".md") else None
        return found[0] if file is None else f'<a href="{file.url_relative_to(page.file)}">{found[0]}</a>'

    return _CODE.sub(link, html)


def notebook_page(text: str, source: str) -> tuple[str, dict[str, bytes]]:
    """Return a notebook as Markdown, and its pictures by name."""
    stem = Path(source).stem
    images: dict[str, bytes] = {}
    parts = []
    for cell in json.loads(text)["cells"]:
        content = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(content)
            continue
        parts.append(_fence(content, "python"))
        outputs = (_output(output, stem, images) for output in cell["outputs"])
        # Rich displays each line that it prints by itself.
        parts.append(_BETWEEN.sub("", "\n\n".join(output for output in outputs if output)))
    note = f"*This page is the notebook [{source}]({REPOSITORY}/blob/main/{source}); run it in Jupyter.*"
    heading, _, rest = "\n\n".join(part for part in parts if part).partition("\n")
    return f"{heading}\n\n{note}\n{rest}\n", images


def _output(output: Mapping[str, Any], stem: str, images: dict[str, bytes]) -> str:
    """Return an output of a cell as Markdown; put a picture into `images`."""
    name = f"{stem}_{len(images)}.png"
    data = output.get("data", {"text/plain": output.get("text", "")})
    kinds: dict[str, Callable[[str], str]] = {
        "image/png": lambda content: f"![Output of the cell above]({name})",
        "text/html": _table,
        "text/plain": lambda content: _fence(content, "text") if content.strip() else "",
    }
    kind = next(kind for kind in kinds if kind in data)
    content = "".join(data[kind])
    if kind == "image/png":
        images[name] = base64.b64decode(content)
    return kinds[kind](content)


def _table(html: str) -> str:
    """Return the table of a DataFrame without pandas' own looks."""
    plain = re.sub(r"<style.*?</style>|<p>.*?</p>| border=\"1\"| class=\"dataframe\"", "", html, flags=re.DOTALL)
    return "\n".join(line.strip() for line in plain.splitlines() if line.strip())


def _fence(content: str, language: str) -> str:
    return f"```{language}\n{content.rstrip()}\n```"


def _linked_path(target: str, folder: Path) -> Path | None:
    """Return the file of the repository that a link leads to; None for an address, or code in brackets."""
    for prefix in (f"{REPOSITORY}/blob/main/", f"{REPOSITORY}/tree/main/", _RAW):
        if target.startswith(prefix):
            return ROOT / target.removeprefix(prefix)
    path = Path(os.path.normpath(folder / target))
    return path if path.exists() and path.is_relative_to(ROOT) else None  # MkDocs reports a broken relative link


def _source(page: str) -> str:
    """Return the path, from the root of the repository, of the file that a page is made from."""
    return next((source for source, made in PAGES.items() if made == page), f"docs/{page}")
