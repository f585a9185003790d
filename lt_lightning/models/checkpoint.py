"""Load a Learner from a checkpoint alone: build it from its description, then read its weights.

Nothing of a file is run: objects are not unpickled, and classes that are not this package's are imported only if the
caller trusts the file.
"""

from __future__ import annotations

import json
import pickle
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, NoReturn, TypeVar

import torch

from lt_lightning.config.choice import LARGEST, Custom
from lt_lightning.config.optimizers import Adam
from lt_lightning.config.quoting import find_interpolations
from lt_lightning.config.validation import read_recorded
from lt_lightning.errors import SettingError, first_line, shown
from lt_lightning.models.build import build_learner
from lt_lightning.models.description import find_description
from lt_lightning.models.learner import Learner
from lt_lightning.runs.bases import read_referred
from lt_lightning.runs.checkpoint_parts import rebuild, reference_in

L = TypeVar("L", bound=Learner)

_AGAIN = "restore it from a copy"


def load_learner(
    kind: type[L],
    path: str | Path | IO[bytes],
    *,
    map_location: Any = None,
    strict: bool = True,
    weights_only: bool = True,
    trust: bool = False,
    arguments: Mapping[str, Any] = MappingProxyType({}),
) -> L:
    """Return the Learner of a checkpoint, in training mode like Lightning's own.

    Args:
        kind: its class.
        path: a file that a Trainer saved, or one in the `state/` of a run.
        map_location: the device of the Learner, such as `"cuda"`; None for the CPU.
        strict: whether the weights must be those of the network, each of them.
        weights_only: False unpickles objects, which can run code.
        trust: import the classes that the file names and that are not this package's.
        arguments: those of the class, in place of the description.

    Raises:
        SettingError: the file cannot be read, is not that of a Learner, or names such a class.
    """
    where = Path(path if isinstance(path, (str, Path)) else getattr(path, "name", "checkpoint"))
    checkpoint = _read(path, where, weights_only)
    description = find_description(checkpoint.get(Learner.CHECKPOINT_HYPER_PARAMS_KEY))
    if description is None and not arguments:
        raise SettingError(
            f"{where}: not a checkpoint of a Learner that describes its network, as runs before 0.5 wrote none; give "
            "network=…, classes=… and optimizer=…, or train again"
        )
    weights = checkpoint.get("state_dict")
    if not isinstance(weights, Mapping) or not weights:
        raise SettingError(f"{where}: has no weights; {_AGAIN}")
    with torch.random.fork_rng(devices=[]):  # the first weights are drawn, to be overwritten
        learner = (
            kind(**arguments) if description is None or arguments else _build(kind, where, description, trust=trust)
        )
    try:
        learner.load_state_dict(dict(weights), strict=strict)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise SettingError(
            f"{where}: its weights are not those of the network that it describes ({reason}); {_AGAIN}"
        ) from error
    return learner if map_location is None else learner.to(map_location)


def _read(file: str | Path | IO[bytes], path: Path, weights_only: bool) -> dict[str, Any]:
    """Return the content of a checkpoint, with the weights that a file of its run has."""
    try:
        content = torch.load(
            file, map_location="cpu", weights_only=weights_only
        )  # also without the device that wrote it
    except FileNotFoundError:
        raise SettingError(f"{path}: no such file; give a checkpoint") from None
    except (PermissionError, IsADirectoryError) as error:
        raise SettingError(f"{path}: cannot be read ({error.strerror}); give a checkpoint") from error
    except pickle.UnpicklingError as error:
        if named := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise SettingError(
                f"{path}: holds an object of {named[1]}, which could run code as it is read; give "
                "weights_only=False, if you trust the file"
            ) from error
        raise SettingError(f"{path}: not a checkpoint, or damaged ({first_line(error)[:80]}); {_AGAIN}") from error
    except Exception as error:  # damaged files raise many types
        raise SettingError(f"{path}: not a checkpoint, or damaged ({first_line(error)[:80]}); {_AGAIN}") from error
    if not isinstance(content, dict):
        raise SettingError(f"{path}: not a checkpoint; give one that a Trainer saved")
    reference = reference_in(path, content)
    try:
        return rebuild(content, None if reference is None else read_referred(reference, path))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        if isinstance(error, SettingError):
            raise
        raise SettingError(f"{path}: damaged ({first_line(error)[:80]}); {_AGAIN}") from error


def _build(kind: type[L], path: Path, description: Mapping[str, Any], *, trust: bool) -> L:
    """Build the Learner of a description."""
    if found := find_interpolations(description):
        raise SettingError(f"{path}: its settings hold {shown(found[0])}, a computed value; {_AGAIN}")
    try:
        model, embedding, optimizer, scheduler = (
            None if description[group] is None else read_recorded(group, description[group])
            for group in ("model", "embedding", "optimizer", "scheduler")
        )
        metrics, names = description["metrics"], description["class_names"]
        sizes = {key: _size(description[key]) for key in ("words", "classes")}
        length = None if description["max_length"] is None else _size(description["max_length"])
        if model is None or optimizer is None or not isinstance(metrics, Mapping):
            raise ValueError("a group is missing")
    except SettingError as error:
        raise SettingError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SettingError(f"{path}: its description is not whole ({first_line(error)}); {_AGAIN}") from error
    if isinstance(model, Custom) and not trust:
        raise SettingError(
            f"{path}: its network is of {shown(model._target_)}, a class that is not this package's; give trust=True "
            "to import it, if you trust the file"
        )
    foreign = [one._target_ for one in (optimizer, scheduler) if isinstance(one, Custom)]
    withheld = bool(foreign) and not trust
    with _encoder_files(path, description.get("encoder")) as encoder:
        try:
            learner = build_learner(
                model,  # pyright: ignore[reportArgumentType]  (a Custom of this group is a CustomModel)
                embedding,
                Adam() if withheld else optimizer,
                words=sizes["words"],
                classes=sizes["classes"],
                class_names=names,
                encoder=encoder,
                max_length=length,
                scheduler=None if withheld else scheduler,
                metrics=metrics if trust else {},
                kind=kind,
            )
        except (AssertionError, RuntimeError, MemoryError, TypeError, ValueError, OverflowError) as error:
            raise SettingError(f"{path}: its network cannot be built ({first_line(error)[:200]}); {_AGAIN}") from error
    learner.describe(description)  # its checkpoints say what was trained, although a part is withheld
    if withheld:

        def refuse(*_: Any) -> NoReturn:
            raise SettingError(
                f"{path}: it was trained with {shown(foreign[0])}, a class that is not this package's; give "
                "load_from_checkpoint trust=True to import it, if you trust the file"
            )

        learner.train_with(refuse)
    return learner


def _size(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= LARGEST:
        raise ValueError(f"{shown(value)} is no size")
    return value


@contextmanager
def _encoder_files(path: Path, described: Any) -> Iterator[Any]:
    """Yield the files of a described encoder, without weights; None for a network without one."""
    if described is None:
        yield None
        return
    from lt_lightning.data.sources.encoders import CONFIG, EncoderFiles

    config = described.get("config") if isinstance(described, Mapping) else None
    if not isinstance(config, Mapping) or not isinstance(config.get("model_type"), str) or "vocab_size" not in config:
        raise SettingError(f"{path}: it does not describe its encoder; {_AGAIN}")
    # transformers could fetch the code of these from the Hub.
    config = {key: value for key, value in config.items() if not key.strip("_").endswith("implementation")}
    with tempfile.TemporaryDirectory() as folder:  # transformers reads files alone
        (Path(folder) / CONFIG).write_text(json.dumps(config), encoding="utf-8")
        yield EncoderFiles(str(described.get("name")), str(path), str(path), Path(folder), config, has_weights=False)
