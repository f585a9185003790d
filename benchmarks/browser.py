"""Time an exported page in headless Chromium: `python -m benchmarks.browser TICKET --texts FILE`.

How long after the navigation began the ticket has answered for the first time, and how many texts one tab classifies a
second, tokenisation included: once when no word's answer is kept yet, and then in turns. Texts come from a .jsonl or
.parquet file with a column `text`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.browsing import BROWSER, Browser
from benchmarks.measuring import check_options, keep, show_machine, spread
from lt_lightning.errors import SettingError
from lt_lightning.experiment.hydra_main import fail
from lt_lightning.tickets import Ticket
from lt_lightning.tickets.web import page

BATCH = 500
"""Number of texts that are classified together, as of a dropped file."""
_RUN = """(() => {
  const began = performance.now();
  for (let at = 0; at < texts.length; at += %d) ticket.predict(texts.slice(at, at + %d));
  return (performance.now() - began) / 1000;
})()"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = parse(arguments)
    machine = show_machine(("numpy",))
    content, texts = options.ticket.read_bytes(), read_texts(options.texts)
    ticket = Ticket.load(options.ticket)
    written = page(content, options.ticket.name).encode()
    print(f"page: {len(written):,} bytes, ticket {len(content):,}: 1.4 × {len(content):,} + 60 kB is "
          f"{1.4 * len(content) + 60_000:,.0f}")  # fmt: skip
    ready, cold, warm = list[float](), list[float](), list[float]()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "page.html")
        path.write_bytes(written)
        with Browser(Path(folder)) as browser:
            for turn in range(options.turns + 1):
                browser.open(path)
                browser.wait_for("performance.getEntriesByName('ready').length > 0")
                at = browser.evaluate("performance.getEntriesByName('ready')[0].startTime")
                browser.evaluate(f"window.texts = {json.dumps(texts)}; 0")
                seconds = [browser.evaluate(_RUN % (BATCH, BATCH)) for _ in range(3)]
                if turn:  # the first one compiles
                    ready.append(at)
                    cold.append(len(texts) / seconds[0])
                    warm += [len(texts) / one for one in seconds[1:]]
            apart = check(browser, ticket, texts[:200])
    print(f"ready: {spread(ready).format(0)} ms after the navigation began")
    print(f"texts a second, {len(texts):,} texts: {spread(cold).format(0)} at first, then {spread(warm).format(0)}")
    print(f"logits: at most {apart:.1e} off those of Python")
    keep("browser", options, machine, ready=ready, cold=cold, warm=warm)


def check(browser: Browser, ticket: Ticket, texts: Sequence[str]) -> float:
    """Return the largest difference between the page's logits and Python's."""
    theirs = browser.evaluate(f"ticket.logits({json.dumps(texts)}).map((one) => Array.from(one))")
    ours = ticket.logits(texts).reshape(len(texts), -1).tolist()
    return max(abs(a - b) for one, other in zip(theirs, ours, strict=True) for a, b in zip(one, other, strict=True))


def read_texts(path: Path) -> list[str]:
    """Return the texts of a file.

    Raises:
        SettingError: there is no such file, it is of another kind, or has no column `text`.
    """
    import pandas as pd

    kinds = {".jsonl": lambda: pd.read_json(path, lines=True), ".parquet": lambda: pd.read_parquet(path)}
    if path.suffix not in kinds or not path.is_file():
        raise SettingError(f"--texts: {path} is no file that ends in {' or '.join(kinds)}; give such a file")
    table = kinds[path.suffix]()
    if "text" not in table.columns:
        raise SettingError(f"--texts: {path} has no column text; give a file that has one")
    return [str(text) for text in table["text"]]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the checked options.

    Raises:
        SettingError: an option is out of range, or there is no browser.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.browser", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("ticket", type=Path, help="what lt_lightning.export wrote")
    parser.add_argument("--texts", type=Path, required=True, help="a .jsonl or .parquet file with a column text")
    parser.add_argument("--turns", type=int, default=5, help="how often the page is opened (%(default)s)")
    parser.add_argument("--json", type=Path, help="file for all numbers")
    options = parser.parse_args(arguments)
    check_options(options, {"turns": 2})
    if BROWSER is None:
        raise SettingError("chromium: not installed; install it, or Google Chrome")
    return options


if __name__ == "__main__":
    try:
        main()
    except SettingError as error:
        fail(str(error))
