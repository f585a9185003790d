"""What comes from the Hugging Face Hub: fetched once, with a progress bar, and never asked for again.

Documentation: https://huggingface.co/docs/huggingface_hub/guides/download
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import datasets
import huggingface_hub
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
)

from lt_lightning.data.files import read_parquet
from lt_lightning.errors import SettingError

CONNECT_SECONDS = 2.5
"""How long the Hub may take to answer at all before it counts as out of reach."""


def fetch_dataset(repo: str) -> Mapping[str, datasets.Dataset]:
    """The `train` and `test` splits of a data set on the Hub, kept there as parquet files.

    Args:
        repo: such as `fancyzhx/ag_news`.

    Raises:
        SettingError: if it is neither in the cache nor within reach, or not such a data set.
    """
    remedy = "give data.path=FOLDER with train and test files, or data=pydocs, which needs no download"
    # The same patterns in the cache as on the Hub: a snapshot without the other files counts as incomplete otherwise.
    patterns = [f"**{split}*.parquet" for split in ("train", "test")]
    download = partial(huggingface_hub.snapshot_download, repo, repo_type="dataset", allow_patterns=patterns)
    folder = _from_cache(download, repo, "data.hub")
    files = _find_splits(folder, repo, remedy) if folder else None
    if not files:
        _check_reachable(repo, "dataset", "data", remedy)
        files = _find_splits(_from_hub(download, repo, "data", remedy), repo, remedy)
        if not files:
            raise SettingError(f"data.hub: {repo} has no train and test as parquet files; {remedy}")
    try:
        return {split: read_parquet(paths) for split, paths in files.items()}
    except Exception as error:  # whatever a damaged file makes the library raise
        parent = files["train"][0].parent
        raise SettingError(
            f"data: {repo} in the cache cannot be read ({_say(error)}); delete {parent}, or {remedy}"
        ) from error


def fetch_file(repo: str, name: str, setting: str, remedy: str) -> Path:
    """One file of a model repository on the Hub, from the cache if it is there.

    Args:
        repo: such as `stanfordnlp/glove`.
        name: the file's path in it.
        setting: the setting that asked for it, for the error.
        remedy: what to do without it, for the error.

    Raises:
        SettingError: if it is neither in the cache nor within reach.
    """
    download = partial(huggingface_hub.hf_hub_download, repo, name)
    file = _from_cache(download, repo, setting)
    if file is None:
        _check_reachable(repo, "model", setting, remedy)
        file = _from_hub(download, repo, setting, remedy)
    return file


def _from_cache(download: Callable[..., str], repo: str, setting: str) -> Path | None:
    try:
        return Path(download(local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    except HFValidationError as error:
        raise SettingError(f"{setting}: {repo!r} is no repository on the Hub; write owner/name") from error


def _from_hub(download: Callable[..., str], repo: str, setting: str, remedy: str) -> Path:
    try:
        return Path(download())
    except Exception as error:  # whatever the HTTP library of the day raises
        raise SettingError(
            f"{setting}: the download of {repo} broke off ({_say(error)}); start again, or {remedy}"
        ) from error


def _find_splits(folder: Path, repo: str, remedy: str) -> dict[str, Sequence[Path]] | None:
    """The parquet files of both splits; None if one is missing, or a part of one, as after a broken download."""
    files: dict[str, Sequence[Path]] = {}
    for split in ("train", "test"):
        # train.parquet, train-00000-of-00002.parquet, train_0.parquet, but not train_extra.parquet
        name = re.compile(rf"{split}(?![a-z]|[-_][a-z])")
        found = sorted(path for path in folder.rglob("*.parquet") if name.match(path.name))
        if len({path.parent for path in found}) > 1:
            places = ", ".join(sorted(str(path.parent.relative_to(folder)) for path in found))
            raise SettingError(f"data.hub: {repo} has several configurations ({places}); {remedy}")
        expected = {int(of[1]) for path in found if (of := re.search(r"-of-(\d+)", path.name))} or {len(found)}
        if not found or expected != {len(found)}:
            return None
        files[split] = found
    return files


def _check_reachable(repo: str, kind: str, setting: str, remedy: str) -> None:
    """Ask for the repository's page once, without the retries that downloads make."""
    failures: list[Exception] = []

    def ask() -> None:
        try:
            huggingface_hub.HfApi().repo_info(repo, repo_type=kind, timeout=CONNECT_SECONDS)
        except Exception as error:
            failures.append(error)

    # In a thread, since no timeout holds for the look-up of a host's name.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS)
    missing = f"{setting}: {repo} is not in the cache, and"
    try:
        if thread.is_alive():
            raise TimeoutError(f"no answer in {CONNECT_SECONDS} seconds")
        if failures:
            raise failures[0]
    except OfflineModeIsEnabled as error:
        raise SettingError(f"{missing} HF_HUB_OFFLINE is set; unset it, or {remedy}") from error
    except HfHubHTTPError as error:
        raise SettingError(f"{missing} the Hub refuses it ({_say(error)}); {remedy}") from error
    except Exception as error:  # whatever the HTTP library of the day raises without a network
        raise SettingError(f"{missing} the Hub is out of reach; {remedy}") from error


def _say(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
