"""Find where Python looks for installed distributions."""

from __future__ import annotations

import os
import site
import sys
import sysconfig


def search_path() -> list[str]:
    """Return where Python looks for distributions, without the working directory unless it is a site folder."""
    try:
        here = os.path.realpath(os.curdir)
    except OSError:  # it was deleted
        here = None
    places = {os.path.realpath(place) for place in _site_folders()}
    return [
        place for place in sys.path if place and (os.path.realpath(place) != here or os.path.realpath(place) in places)
    ]


def _site_folders() -> list[str]:
    names = ("purelib", "platlib")
    return [*site.getsitepackages(), site.getusersitepackages(), *map(sysconfig.get_paths().__getitem__, names)]
