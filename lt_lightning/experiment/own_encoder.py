"""Find the encoder of a run that goes on, or of a branch, and check that it is the one that the run began with.

Imports no torch, so that refusals come at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lt_lightning.config.encoders import Encoder
from lt_lightning.errors import SettingError
from lt_lightning.experiment.branch.command import find_trunk
from lt_lightning.experiment.resume.compare import describe_before, is_begun

if TYPE_CHECKING:
    from lt_lightning.config.schema import Config
    from lt_lightning.data.sources.encoders import EncoderFiles


def find_own_encoder(config: Config, run: Path) -> EncoderFiles | None:
    """Return the files of the encoder of a run; None if its model has none.

    A run that has begun, and the trunk of a branch, keep copies of all files but the weights, which their tickets hold.

    Raises:
        SettingError: the files are missing or damaged, or are not those that the run, or its trunk, began with.
    """
    if not isinstance(config.model, Encoder):
        return None
    from lt_lightning.data.sources.encoders import find_encoder

    begun = [run] if is_begun(run) else []
    if config.branch.of is not None:
        begun.append(find_trunk(config.branch.of))
    files = find_encoder(config.model, begun)
    for folder in begun:
        then = describe_before(folder)[0].encoder
        changed = [] if then is None else files.changed(then.digests or {})
        if changed:
            raise SettingError(
                f"{files.setting}: {changed[0]} of {files.source} is not the one that {folder} began with; bring it "
                "back, or start another run"
            )
    return files


def require_weights(files: EncoderFiles | None) -> None:
    """Raise a SettingError if an encoder lacks its weights, for a run that needs the first ones."""
    if files is not None and not files.has_weights:
        raise SettingError(
            f"{files.setting}: {files.source} is gone, and round 0 needs the weights that it began with; bring it back"
        )
