"""Watch training steps: a Lightning callback that notes what waits for the device, or what is copied to it."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch.profiler import ProfilerActivity, profile

from lt_lightning.callbacks.rows import count_rows
from trials.gpu.places import Wait, find_place

WAITS, COPIES = (3, 6), (7, 10)
"""The batches after which watching of waits, and of copies, begins and ends; earlier ones warm up."""


class StepWatch(pl.Callback):
    """Watch some steps of the first epoch of each fit, from the end of one to the end of another.

    So the loading of a batch is watched as well as the step on it.

    Args:
        file: a line of JSON is added here for each fit: `waits`, `copies` (bytes of each), `steps` of each kind, `rows`
            of a step.
    """

    def __init__(self, file: str) -> None:
        self._file = Path(file)
        self._watching: Any = None
        self._found: dict[str, Any] = {}

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Begin or end to watch."""
        device = trainer.strategy.root_device
        if trainer.current_epoch:
            return
        if batch_idx in (WAITS[1], COPIES[1]):
            self._watching.__exit__(None, None, None)
        if batch_idx in (WAITS[0], COPIES[0]):
            self._watching = (_waits if batch_idx == WAITS[0] else _copies)(device, self._found)
            self._watching.__enter__()
        if batch_idx == COPIES[1]:
            found = {"steps": WAITS[1] - WAITS[0], "rows": count_rows(batch), **self._found}
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(found) + "\n")


@contextmanager
def _waits(device: torch.device, found: dict[str, Any]) -> Iterator[None]:
    """Note on exit what made the host wait and where."""
    if device.type != "cuda":
        stand_in = _stand_in()
        before = len(stand_in.waits)
        yield
        found["waits"] = [one._asdict() for one in stand_in.waits[before:]]
        return
    torch.cuda.synchronize()
    waits: list[Wait] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = partial(note_wait, waits)
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")
    found["waits"] = [one._asdict() for one in waits]


def _stand_in() -> Any:
    from trials.gpu.stand_in import current_stand_in  # not on a GPU: it adds a device to torch

    return current_stand_in()


def note_wait(waits: list[Wait], message: Warning | str, *_: Any, **__: Any) -> None:
    """Add a wait if a warning is one of torch's sync debug mode, in place of showing the warning."""
    if "synchronizing CUDA operation" in str(message):
        waits.append(Wait("synchronizes", find_place()))


@contextmanager
def _copies(device: torch.device, found: dict[str, Any]) -> Iterator[None]:
    """Note on exit the bytes of each copy from the host to the device."""
    if device.type != "cuda":
        stand_in = _stand_in()
        before = len(stand_in.copies)
        yield
        found["copies"] = stand_in.copies[before:]
        return
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        yield
        torch.cuda.synchronize()
    found["copies"] = read_trace(profiler)


def read_trace(profiler: Any) -> list[int]:
    """Return the bytes of each copy from the host to the device that a profiler saw."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    return [int(one["args"]["bytes"]) for one in events if is_copy_to_device(one)]


def is_copy_to_device(event: dict[str, Any]) -> bool:
    """Return whether an event of a trace is a copy from the host to the device.

    >>> is_copy_to_device({"cat": "gpu_memcpy", "name": "Memcpy HtoD (Pageable -> Device)", "args": {"bytes": 64}})
    True
    """
    return event.get("cat") == "gpu_memcpy" and "HtoD" in event.get("name", "")
