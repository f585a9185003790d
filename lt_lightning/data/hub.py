"""What comes from the Hugging Face Hub: fetched once, with a progress bar, and never asked for again.

Documentation: https://huggingface.co/docs/huggingface_hub/guides/download
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import datasets
import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

from lt_lightning.errors import SettingError

CONNECT_SECONDS = 3.0
"""How long the Hub may take to answer at all before it counts as out of reach."""


def fetch_dataset(repo: str) -> Mapping[str, datasets.Dataset]:
    """The `train` and `test` splits of a data set on the Hub, kept there as parquet files.

    Args:
        repo: such as `fancyzhx/ag_news`.

    Raises:
        SettingError: if it is neither in the cache nor within reach.
    """
    try:
        folder = Path(huggingface_hub.snapshot_download(repo, repo_type="dataset", local_files_only=True))
        files = _parquet_files(folder)
    except LocalEntryNotFoundError:
        files = {}
    if not files:
        remedy = "give data.path=FOLDER with train and test files, or data=pydocs, which needs no download"
        _check_reachable(repo, "dataset", f"data: {repo}", remedy)
        patterns = [f"**{split}*.parquet" for split in ("train", "test")]
        try:
            folder = Path(huggingface_hub.snapshot_download(repo, repo_type="dataset", allow_patterns=patterns))
        except (OSError, HfHubHTTPError) as error:
            raise SettingError(
                f"data: the download of {repo} broke off ({_say(error)}); start again, or {remedy}"
            ) from error
        files = _parquet_files(folder)
        if not files:
            raise SettingError(f"data: {repo} has no train and test parquet files; {remedy}")
    splits = datasets.load_dataset("parquet", data_files=files)
    assert isinstance(splits, datasets.DatasetDict)
    return {str(name): split for name, split in splits.items()}


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
    try:
        return Path(huggingface_hub.hf_hub_download(repo, name, local_files_only=True))
    except LocalEntryNotFoundError:
        _check_reachable(repo, "model", setting, remedy)
    try:
        return Path(huggingface_hub.hf_hub_download(repo, name))
    except (OSError, HfHubHTTPError) as error:
        raise SettingError(
            f"{setting}: the download of {name} broke off ({_say(error)}); start again, or {remedy}"
        ) from error


def _parquet_files(folder: Path) -> dict[str, list[str]]:
    """The parquet files of both splits; nothing if one of them is missing."""
    files = {
        split: sorted(str(path) for path in folder.rglob("*.parquet") if path.name.startswith(split))
        for split in ("train", "test")
    }
    return files if all(files.values()) else {}


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
    try:
        if thread.is_alive():
            raise TimeoutError(f"no answer in {CONNECT_SECONDS} seconds")
        if failures:
            raise failures[0]
    except OfflineModeIsEnabled as error:
        raise SettingError(f"{setting}: not in the cache, and HF_HUB_OFFLINE is set; unset it, or {remedy}") from error
    except HfHubHTTPError as error:
        raise SettingError(f"{setting}: the Hub refuses it ({_say(error)}); {remedy}") from error
    except Exception as error:  # whatever the HTTP library of the day raises without a network
        raise SettingError(f"{setting}: not in the cache, and the Hub is out of reach; {remedy}") from error


def _say(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
