"""Read the address of a file on the Hugging Face Hub: `hf://OWNER/NAME[@REVISION][/FILE]`. Standard library alone."""

from __future__ import annotations

import re
from os import PathLike, fspath
from typing import NamedTuple
from urllib.parse import quote, unquote

from lt_lightning.errors import SettingError, shown

_SCHEME = re.compile(r"hf:/{1,2}(?!/)")  # pathlib makes one slash of two
_PART = r"[A-Za-z0-9][\w.-]*"
_ADDRESS = re.compile(
    rf"hf:/{{1,2}}(?P<repo>{_PART}/{_PART})(?:@(?P<revision>[^/@\s]+))?(?:/(?P<file>[^@\s]+))?", re.ASCII
)
_LONGEST = 96
ENDING = ".safetensors"
"""The ending of a ticket's file."""
FORM = "write hf://OWNER/NAME, hf://OWNER/NAME@REVISION or hf://OWNER/NAME@REVISION/FILE.safetensors"


class HubAddress(NamedTuple):
    """A file of a model repository on the Hub.

    Attributes:
        repo: the repository, `owner/name`.
        revision: a branch, a tag or a commit; None for the main branch.
        file: the path of the file in the repository; None for its only ticket.
    """

    repo: str
    revision: str | None = None
    file: str | None = None

    def __str__(self) -> str:
        """Return the address as it is typed."""
        at = "" if self.revision is None else f"@{quote(self.revision, safe='')}"
        return f"hf://{self.repo}{at}{'' if self.file is None else f'/{self.file}'}"


def is_address(text: str | PathLike[str]) -> bool:
    """Return whether a path is meant as an address on the Hub.

    >>> is_address("hf://owner/name"), is_address("hf/owner")
    (True, False)
    """
    return _SCHEME.match(str(fspath(text))) is not None


def parse_address(text: str | PathLike[str]) -> HubAddress:
    """Return the parts of an address; in a revision `%2F` is a slash.

    Raises:
        SettingError: it is not an address of a ticket.

    >>> parse_address("hf://owner/name@v1.0/tickets/round_06.safetensors")
    HubAddress(repo='owner/name', revision='v1.0', file='tickets/round_06.safetensors')
    """
    typed = str(fspath(text))
    found = _ADDRESS.fullmatch(typed)
    if found is None:
        raise SettingError(f"{shown(typed)}: not an address on the Hub; {FORM}")
    repo, revision, file = found["repo"], found["revision"], found["file"]
    if reason := repo_fault(repo):
        raise SettingError(f"{shown(typed)}: {repo} {reason}; {FORM}")
    if file is not None and not file.endswith(ENDING):
        raise SettingError(f"{shown(typed)}: a ticket's file ends in {ENDING}; {FORM}")
    if file is not None and not {"", ".", ".."}.isdisjoint(file.split("/")):
        raise SettingError(f"{shown(typed)}: {shown(file)} is not a path in a repository; {FORM}")
    return HubAddress(repo, None if revision is None else unquote(revision), file)


def repo_fault(repo: str) -> str | None:
    """Return what is wrong with the name of a repository on the Hub, or None.

    >>> repo_fault("owner/name"), repo_fault("name")
    (None, 'is not OWNER/NAME')
    """
    if re.fullmatch(rf"{_PART}/{_PART}", repo, re.ASCII) is None:
        return "is not OWNER/NAME"
    owner, name = repo.split("/")
    if max(len(owner), len(name)) > _LONGEST:
        return f"has a part of more than {_LONGEST} characters"
    if any("--" in part or ".." in part or part[-1] in ".-" for part in (owner, name)):
        return "has -- or .., or a part that ends in . or -"
    if name.endswith(".git"):
        return "ends in .git"
    return None
