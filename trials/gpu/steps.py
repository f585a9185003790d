"""Check training steps: nothing in them makes the host wait for the device, and the data are there already."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from lt_lightning.storage.atomic import write_whole
from trials.gpu.results import Outcome, Request, SkipError
from trials.gpu.runs import NETWORKS, corpus, in_use, network_settings, play

ROW = 16
"""The bytes that a step may copy for each of its rows: the row's number, for its ids and for its label."""
SETTING = 1024
"""The bytes that a step may copy besides, such as a learning rate."""


def find_waits(request: Request) -> Outcome:
    """Check that no line of this project makes the host wait in a training step."""
    seen = _watch(request)
    faults, evidence = [], []
    for network, found in seen.items():
        waits = Counter((one["place"], one["what"]) for one in found["waits"])
        own = {key: count for key, count in waits.items() if key[0].startswith("lt_lightning/")}
        faults += [f"{network}: {place} waits ({what}) {count} times" for (place, what), count in own.items()]
        others = [f"{place} ({what}) {count}×" for (place, what), count in waits.items() if (place, what) not in own]
        beside = f", of others: {', '.join(others)}" if others else ""
        evidence.append(f"{network}: {sum(waits.values())} waits in {found['steps']} steps{beside}")
    return Outcome("; ".join(evidence), faults, seen)


def find_copies(request: Request) -> Outcome:
    """Check that a training step copies the numbers of its rows to the device, and not the rows."""
    seen = _watch(request)
    faults, evidence = [], []
    for network, found in seen.items():
        each = sum(found["copies"]) / found["steps"]
        most = ROW * found["rows"] + SETTING
        count = len(found["copies"]) / found["steps"]
        evidence.append(f"{network}: {count:.1f} copies of {each:.0f} bytes in all a step of {found['rows']} rows")
        if each > most:
            faults.append(f"{network}: a step copies {each:.0f} bytes to the device, more than {most}")
    return Outcome("; ".join(evidence), faults, seen)


def _watch(request: Request) -> dict[str, dict[str, Any]]:
    """Return what the steps of a lottery of each network did; both checks look at the same runs."""
    if request.device == "cpu":
        raise SkipError("the CPU waits for no device")
    kept = request.folder.parent / "watched.json"
    if not kept.exists():
        write_whole(kept, json.dumps(dict(_watch_networks(request))))
    return json.loads(kept.read_text())


def _watch_networks(request: Request) -> Iterator[tuple[str, dict[str, Any]]]:
    texts = corpus(request.folder)
    # The stand-in has neither fused cells of GRU and LSTM nor a way to make transformers' masks.
    for network in NETWORKS if request.device == "cuda" else ["cnn"]:
        settings = network_settings(network, request.folder)
        if settings is None:
            continue
        found = request.folder / f"{network}.json"
        watcher = f"trainer.callbacks=[{{_target_: trials.gpu.watching.StepWatch, file: '{found}'}}]"
        with in_use(request.device):
            play(
                request.device, request.folder / network, "data=files", f"data.path={texts}", *settings, watcher,
                "pruning.rounds=1", "trainer.max_epochs=1", "trainer.gradient_clip_val=1",
            )  # fmt: skip
        yield network, json.loads(found.read_text().splitlines()[-1])  # that of the last round, which is pruned
