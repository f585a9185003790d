"""Download datasets and files from the Hugging Face Hub once, with a progress bar; then use the cache.

Documentation: https://huggingface.co/docs/huggingface_hub/guides/download
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePath

import datasets
import huggingface_hub
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

from lt_lightning.data.sources.files import read_parquet
from lt_lightning.errors import SettingError, first_line
from lt_lightning.storage.hub import list_files

SPLITS = ("train", "test")


def fetch_dataset(repo: str, config: str | None = None) -> Mapping[str, datasets.Dataset]:
    """Return the splits `train`, and `test` if present, of a Hub dataset kept as parquet files.

    Args:
        repo: such as `fancyzhx/ag_news`.
        config: the configuration, a folder of its files; None if it has only one.

    Raises:
        SettingError: it is neither cached nor reachable, or not such a dataset.
    """
    remedy = "give data.path=FOLDER with train and test files, or data=pydocs, which needs no download"
    # The same patterns for the cache, or a snapshot without the other files counts as incomplete.
    patterns = [f"*{config or ''}*{split}*.parquet" for split in SPLITS]
    download = partial(huggingface_hub.snapshot_download, repo, repo_type="dataset", allow_patterns=patterns)
    folder = _from_cache(download, repo, "data.hub")
    files = _find_splits(folder, repo, config) if folder else {}
    if folder is None or "train" not in files or ("test" not in files and not _lists_no_test(folder, config)):
        there = list_files(repo, "dataset", "data", remedy)
        folder = _from_hub(download, repo, "data", remedy)
        files = _find_splits(folder, repo, config)
        is_broken = "test" not in files and any(_is_of("test", config, path) for path in _parquet_files(folder))
        if "train" not in files or is_broken:
            raise SettingError(_no_splits(repo, config, there, remedy))
    try:
        return {split: read_parquet([folder / path for path in paths]) for split, paths in files.items()}
    except Exception as error:  # damaged files raise many types
        parent = folder / files["train"][0].parent
        raise SettingError(
            f"data: {repo} in the cache cannot be read ({first_line(error)}); delete {parent}, or {remedy}"
        ) from error


def fetch_file(repo: str, name: str, setting: str, remedy: str) -> Path:
    """Return a file of a model repository on the Hub, from the cache if possible; errors name `setting` and `remedy`.

    Raises:
        SettingError: it is neither cached nor reachable.
    """
    download = partial(huggingface_hub.hf_hub_download, repo, name)
    file = _from_cache(download, repo, setting)
    if file is None:
        list_files(repo, "model", setting, remedy)
        file = _from_hub(download, repo, setting, remedy)
    return file


def fetch_files(repo: str, names: Sequence[str], setting: str, remedy: str) -> Path:
    """Return the folder of some files of a model repository on the Hub, from the cache if all of them are there.

    Raises:
        SettingError: they are neither cached nor reachable, or the repository lacks one.
    """
    cached = [_from_cache(partial(huggingface_hub.hf_hub_download, repo, name), repo, setting) for name in names]
    folders = {file.parent for file in cached if file is not None}
    if None not in cached and len(folders) == 1:
        return folders.pop()
    there = list_files(repo, "model", setting, remedy)
    for name in names:
        if name not in there:
            raise SettingError(f"{setting}: {repo} has no {name}; {remedy}")
    download = partial(huggingface_hub.snapshot_download, repo, allow_patterns=list(names))
    return _from_hub(download, repo, setting, remedy)


def _from_cache(download: Callable[..., str], repo: str, setting: str) -> Path | None:
    try:
        return Path(download(local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    except HFValidationError as error:
        raise SettingError(f"{setting}: {repo!r} is not a repository on the Hub; write owner/name") from error


def _from_hub(download: Callable[..., str], repo: str, setting: str, remedy: str) -> Path:
    try:
        return Path(download())
    except Exception as error:  # HTTP libraries raise many types
        raise SettingError(
            f"{setting}: the download of {repo} failed ({first_line(error)}); start again, or {remedy}"
        ) from error


def _find_splits(folder: Path, repo: str, config: str | None) -> dict[str, list[PurePath]]:
    """Return the parquet files of each complete split; raise if a configuration must be chosen."""
    files: dict[str, list[PurePath]] = {}
    there = _parquet_files(folder)
    for split in SPLITS:
        found = [path for path in there if _is_of(split, config, path)]
        if len(configs := {_config_of(path) for path in found}) > 1:
            names = ", ".join(sorted(configs))
            raise SettingError(
                f"data.hub: {repo} has several configurations ({names}); choose one with data.hub_config={min(configs)}"
            )
        expected = {int(of[1]) for path in found if (of := re.search(r"-of-(\d+)", path.name))} or {len(found)}
        if found and expected == {len(found)}:
            files[split] = found
    return files


def _parquet_files(folder: Path) -> list[PurePath]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*.parquet"))


def _is_of(split: str, config: str | None, path: PurePath) -> bool:
    """Return whether a file belongs to a split, and to the configuration if one is chosen."""
    # train.parquet, train-00000-of-00002.parquet, train_0.parquet, train/0000.parquet, but not train_extra.parquet
    named = re.match(rf"{split}(?![a-z]|[-_][a-z])", path.name) or path.parent.name == split
    return bool(named) and (config is None or _config_of(path) == config or config in path.parent.parts)


def _config_of(path: PurePath) -> str:
    """Return a file's configuration: its folders, without `data` and the split's folder."""
    parts = [part for part in path.parent.parts if part != "data"]
    return "/".join(parts[:-1] if parts and parts[-1] in SPLITS else parts) or "default"


def _lists_no_test(folder: Path, config: str | None) -> bool:
    """Return whether the cached file list shows that the repository has no test split.

    The list is internal to huggingface_hub: if it is missing or different, the Hub is asked.
    """
    try:
        listed = json.loads((folder.parents[1] / "trees" / f"{folder.name}.json").read_text(encoding="utf-8"))["files"]
        return not any(_is_of("test", config, PurePath(name)) for name in listed)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _no_splits(repo: str, config: str | None, there: Sequence[str], remedy: str) -> str:
    if config is None:
        return f"data.hub: {repo} has no train and test as parquet files; {remedy}"
    paths = [PurePath(name) for name in there if name.endswith(".parquet")]
    known = sorted({_config_of(path) for path in paths if _is_of("train", None, path)})
    some = f"; choose from {', '.join(known)}" if known else f"; {remedy}"
    return f"data.hub_config: {repo} has no train and test as parquet files in a folder {config!r}{some}"
