"""A real browser paints a comparison: every figure, in the light and in the dark, nothing over a phone's edge."""

import shutil
import subprocess
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image
from matplotlib.colors import to_rgb

from lt_lightning.report.__main__ import main
from lt_lightning.report.figures.style import BLUE, VERMILLION

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip
PAPER, DARK_PAPER = (251, 251, 250), (22, 24, 27)  # `--paper` in page.css

pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium or Chrome")


@pytest.fixture
def page(make_run: Callable[..., Path], tmp_path: Path) -> Path:
    for rewind, accuracies in (("init", (0.8, 0.85, 0.8)), ("random", (0.8, 0.78, 0.76))):
        make_run(name=f"runs/{rewind}", settings={"pruning.rewind": rewind}, accuracies=accuracies, confusion=True)
    assert main([str(tmp_path / "runs")]) == 0
    return tmp_path / "runs" / "report.html"


def photograph(page: Path, width: int, height: int, *flags: str) -> np.ndarray:
    """What the browser paints, as rows of pixels of red, green and blue, 0 … 255."""
    assert BROWSER is not None
    profile, picture = page.with_suffix(".profile"), page.with_suffix(".png")
    profile.mkdir(exist_ok=True)
    subprocess.run(
        [BROWSER, *FLAGS, *flags, f"--user-data-dir={profile}", f"--window-size={width},{height}",
         f"--screenshot={picture}", page.as_uri()],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    pixels = (255 * image.imread(picture)[..., :3]).round().astype(int)
    assert pixels.shape == (height, width, 3)
    return pixels


def near(pixels: np.ndarray, colour: str) -> int:
    return int((np.abs(pixels - 255 * np.asarray(to_rgb(colour))).max(axis=-1) < 12).sum())


def cards(pixels: np.ndarray, x: int) -> list[np.ndarray]:
    """The white boxes that a column of pixels runs through, from top to bottom."""
    white, y, found = np.all(pixels[:, x] == 255, axis=-1), 0, []
    for is_white, rows in groupby(white):
        height = len(list(rows))
        if is_white and height > 60:
            found.append(pixels[y : y + height])
        y += height
    return found


@pytest.mark.slow
def test_a_comparison_is_painted(page: Path) -> None:
    every_figure_is_painted(page)
    nothing_reaches_over_the_edge_of_a_phone(page)
    dark = photograph(page, 1200, 800, "--force-dark-mode")
    assert np.all(dark[:40] == DARK_PAPER)
    assert dark.max() > 200  # words


def every_figure_is_painted(page: Path) -> None:
    pixels = photograph(page, 1200, 8000)
    assert tuple(pixels[2, 2]) == PAPER
    # 80 pixels from the left lies the padding of the tiles and of the pictures, on whose white nothing is written.
    tiles, *pictures = cards(pixels, 80)
    assert len(pictures) == page.read_text(encoding="utf-8").count("<figure>") == 7
    for box in (tiles, *pictures):
        ink = (box.min(axis=-1) < 128).sum()
        assert ink > 1000
    accuracy, paired, losses, learning, *_ = pictures
    for box in (accuracy, losses, learning):
        assert near(box, BLUE) > 300
        assert near(box, VERMILLION) > 300
    assert near(paired, BLUE) == 0


def nothing_reaches_over_the_edge_of_a_phone(page: Path) -> None:
    # A window is never as narrow as a phone; a frame in it is.
    frame = page.with_name("phone.html")
    frame.write_text(
        '<body style="margin: 0"><iframe src="report.html" style="width: 400px; height: 6000px; border: 0"></iframe>'
    )
    pixels = photograph(frame, 600, 6000)
    for edge in (pixels[:, 2:14], pixels[:, 386:398]):
        assert np.all(edge == PAPER)
    assert near(pixels[:, 20:380], BLUE) > 300
