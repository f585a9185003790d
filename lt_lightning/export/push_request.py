"""Check the options of an upload to the Hugging Face Hub, without torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lt_lightning.config.hub_address import repo_fault
from lt_lightning.errors import SettingError, shown
from lt_lightning.storage.hub import require_hub

_WEIGHTS = "model.safetensors"
"""The weights in a folder of transformers."""


@dataclass(frozen=True)
class Push:
    """Where an export is uploaded.

    Attributes:
        repo: the model repository, `owner/name`.
        private: make the repository private if it is new.
        revision: the branch; None for the main branch.
        message: the commit's message; None for the default.
    """

    repo: str
    private: bool = False
    revision: str | None = None
    message: str | None = None


def check_push(push: Push, ticket: Path | None, folder: Path | None) -> None:
    """Check what can be checked of an upload before anything is packed.

    Args:
        push: the upload.
        ticket: the file of the ticket; None for the default.
        folder: the folder for transformers; None for none.

    Raises:
        SettingError: the repository, the branch or the message cannot be, or huggingface_hub is not installed.
    """
    if reason := repo_fault(push.repo):
        raise SettingError(f"--push: {shown(push.repo)} {reason}; give a repository, such as ann/news-ticket")
    revision = push.revision
    if revision is not None and (re.fullmatch(r"[\w][\w./-]*", revision, re.ASCII) is None or ".." in revision):
        raise SettingError(f"--revision: {shown(revision)} is not the name of a branch; give one, such as main")
    if push.message is not None and not push.message.strip():
        raise SettingError("--commit-message: empty; give a line, or leave it out")
    if ticket is not None and folder is not None and ticket.name == _WEIGHTS:
        raise SettingError(
            f"--output: {ticket} is called as the weights of --hf are, which are pushed, too; give another"
        )
    require_hub("--push")
