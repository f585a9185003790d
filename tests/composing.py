"""Compose configurations as Hydra does, but parse a file and combine the same files only once.

What `key=value` changes is applied afterwards, to a copy. Files of a user's own are read each time.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import astuple, replace
from functools import lru_cache, partial
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.defaults_list import DefaultsList, create_defaults_list
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import DictConfig

from lt_lightning.config.folder import config_folder


@contextmanager
def compose_once() -> Iterator[None]:
    """Keep what Hydra reads and combines of the configuration tree: most of the time of composing."""
    Plugins.instance()  # registers what reads files
    reader = SourcesRegistry.instance().resolve("file")
    load, tree = reader.load_config, reader("tests", config_folder())
    parsed = lru_cache(maxsize=None)(partial(load, tree))
    combine = ConfigLoaderImpl._compose_config_from_defaults_list
    chosen: dict[Any, DefaultsList] = {}
    combined: dict[Any, bytes] = {}

    def load_config(source: ConfigSource, config_path: str) -> ConfigResult:
        if source.path != tree.path:
            return load(source, config_path)
        return replace(deepcopy(parsed(config_path)), provider=source.provider)

    def is_ours(repo: Any) -> bool:
        return {source.full_path() for source in repo.get_sources() if source.scheme() == "file"} == {tree.full_path()}

    def choose(repo: Any, config_name: str, overrides_list: Sequence[Override], **how: bool) -> Any:
        groups = [
            one
            for one in overrides_list
            if not one.is_sweep_override() and not isinstance(one.value(), dict) and repo.group_exists(one.key_or_group)
        ]
        key = (config_name, *how.items(), *(one.input_line for one in groups))
        if not is_ours(repo):
            return create_defaults_list(repo, config_name, list(overrides_list), **how)
        if key not in chosen:
            chosen[key] = create_defaults_list(repo, config_name, groups, **how)
        values = [one for one in overrides_list if one not in groups and not one.is_sweep_override()]
        return replace(chosen[key], config_overrides=values)

    def compose(loader: ConfigLoaderImpl, defaults: list[ResultDefault], repo: Any) -> DictConfig:
        if not is_ours(repo):
            return combine(loader, defaults, repo)
        key = tuple(map(astuple, defaults))
        if key not in combined:
            combined[key] = pickle.dumps(combine(loader, defaults, repo))
        return pickle.loads(combined[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "load_config", load_config)
        patch.setattr("hydra._internal.config_loader_impl.create_defaults_list", choose)
        patch.setattr(ConfigLoaderImpl, "_compose_config_from_defaults_list", compose)
        yield
