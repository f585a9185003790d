"""Find the file of a ticket: on disk, or on the Hugging Face Hub, through the cache of `huggingface_hub`.

An address of a branch or a tag is looked up on the Hub each time, as it may have moved; out of reach, the cache
answers. A commit never changes, so a cached one is not looked up.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from os import PathLike
from pathlib import Path, PurePosixPath

from lt_lightning.config.hub_address import ENDING, HubAddress, is_address, parse_address
from lt_lightning.errors import SettingError, first_line
from lt_lightning.storage.hub import CONNECT_SECONDS, ask, is_offline, is_refusal, require_hub, status_of

log = logging.getLogger(__name__)

_DENSE = (f"model{ENDING}", f"model-*-of-*{ENDING}", f"*_dense{ENDING}")
"""Names of files with dense weights, which exports write beside a ticket."""
_COMMIT = re.compile("[0-9a-f]{40}")


def find_ticket(where: str | PathLike[str]) -> Path:
    """Return the path of a ticket on disk, downloaded if `where` is an address such as `hf://owner/name`.

    Raises:
        SettingError: it is an address, and the file is neither cached nor to be had.
    """
    return fetch_ticket(parse_address(where)) if is_address(where) else Path(where)


def pinned(where: str | PathLike[str], path: Path) -> str:
    """Return a name for a ticket that stays right: an address with the commit and the file, or the path.

    Args:
        where: the path or the address that was given.
        path: what `find_ticket` returned for it.
    """
    if not is_address(where):
        return str(path)
    address = parse_address(where)
    # The layout of the cache: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
    parts = path.parts[::-1]
    place = parts.index("snapshots") - 1
    return str(HubAddress(address.repo, parts[place], "/".join(parts[place - 1 :: -1])))


def fetch_ticket(address: HubAddress) -> Path:
    """Return the path of the file of an address, in the cache.

    Raises:
        SettingError: huggingface_hub is not installed, the Hub is out of reach and the file not in the cache, the Hub
            refuses it, or the repository has no ticket or several.
    """
    require_hub(str(address))
    is_commit = address.revision is not None and _COMMIT.fullmatch(address.revision) is not None
    if is_commit and (cached := _from_cache(address)) is not None:
        return cached
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        info = ask(lambda: api.model_info(address.repo, revision=address.revision, timeout=CONNECT_SECONDS))
    except Exception as error:  # HTTP libraries raise many types
        return _without_the_hub(address, error)
    files = [one.rfilename for one in info.siblings or ()]
    name = choose_file(address, files)
    try:
        return Path(api.hf_hub_download(address.repo, name, revision=address.revision))
    except Exception as error:
        if (cached := _from_cache(address)) is not None and not is_refusal(error):
            return cached
        raise SettingError(f"{address}: the download failed ({first_line(error)}); start again") from error


def choose_file(address: HubAddress, files: Sequence[str]) -> str:
    """Return the file of an address among the files of its repository.

    Raises:
        SettingError: there is no such file, or the address names none and there is not exactly one ticket.
    """
    tickets = sorted(name for name in files if name.endswith(ENDING))
    if len(tickets) > 1:
        dense = [name for name in tickets if any(fnmatchcase(PurePosixPath(name).name, one) for one in _DENSE)]
        tickets = [name for name in tickets if name not in dense] or tickets
    names = ", ".join(tickets)
    if address.file is not None:
        if address.file in files:
            return address.file
        raise SettingError(f"{address}: there is no such file; the repository has {names or 'no ticket'}")
    if not tickets:
        raise SettingError(f"{address}: the repository has no {ENDING} file, so no ticket; give another")
    if len(tickets) > 1:
        one = address._replace(file=tickets[0])
        raise SettingError(f"{address}: the repository has {len(tickets)} tickets, {names}; name one, such as {one}")
    return tickets[0]


def _without_the_hub(address: HubAddress, error: Exception) -> Path:
    """Return the cached file of an address if the Hub is out of reach; raise a SettingError otherwise."""
    if is_refusal(error):
        raise SettingError(f"{address}: {_refusal(address, error)}") from error
    cached = _from_cache(address)
    if cached is not None:
        if not is_offline(error):
            log.warning("%s: the Hub is out of reach; the cached %s is used", address, pinned(str(address), cached))
        return cached
    if is_offline(error):
        raise SettingError(
            f"{address}: not in the cache, and HF_HUB_OFFLINE is set; unset it, or give a file"
        ) from error
    raise SettingError(
        f"{address}: not in the cache, and the Hub is out of reach; start again with a network, or give a file"
    ) from error


def _refusal(address: HubAddress, error: Exception) -> str:
    """Return why the Hub does not give a repository, and what to do."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    if isinstance(error, RevisionNotFoundError):
        return f"the repository has no branch, tag or commit {address.revision!a}; give another"
    if isinstance(error, GatedRepoError):
        return "its owner must grant access; ask for it on the repository's page, then hf auth login"
    if isinstance(error, RepositoryNotFoundError) or status_of(error) == 401:
        return "no such repository, or a private one; check the name, or log in: hf auth login, or set HF_TOKEN"
    if status_of(error) == 403:
        return "the token may not read it; hf auth login with another, or set HF_TOKEN"
    return f"the Hub refuses it ({first_line(error)}); start again later"


def _from_cache(address: HubAddress) -> Path | None:
    """Return the cached file of an address; None if it is not cached.

    Raises:
        SettingError: several tickets of the repository are cached, and the address names none.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        # Without patterns that match, a snapshot counts as complete.
        snapshot = snapshot_download(address.repo, revision=address.revision, allow_patterns=[], local_files_only=True)
    except LocalEntryNotFoundError:
        return None
    folder = Path(snapshot)
    files = [path.relative_to(folder).as_posix() for path in folder.rglob(f"*{ENDING}") if path.is_file()]
    if not files or (address.file is not None and address.file not in files):
        return None
    return folder / choose_file(address, files)
