"""Describe the processor that a run computes on: another one may round differently."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_CPUINFO = Path("/proc/cpuinfo")


def describe_cpu() -> dict[str, Any]:
    """Return `model`, the name that its maker gives the processor, `type`, LLVM's name of its kind, and `features`.

    The features, such as `avx2`, decide which loops libraries choose and what numba compiles. A value that is not
    known is None, features an empty list.
    """
    from llvmlite import binding

    try:
        kind, features = binding.get_host_cpu_name(), binding.get_host_cpu_features()
    except RuntimeError:  # LLVM cannot tell on some systems
        kind, features = None, {}
    return {"model": _model(), "type": kind, "features": sorted(name for name, there in features.items() if there)}


def compare_cpus(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return two descriptions in words if the processors differ, or None.

    >>> old = {"model": "A 1", "type": "skylake", "features": ["avx2", "avx512f"]}
    >>> compare_cpus(old, {**old, "model": "B 2"})
    ('A 1 (skylake)', 'B 2 (skylake)')
    >>> compare_cpus(old, {**old, "features": ["avx2"]})
    ('A 1 (skylake) with avx512f', 'A 1 (skylake)')
    """
    if dict(before) == dict(now):
        return None
    was, is_ = show_cpu(before), show_cpu(now)
    if was != is_:
        return was, is_
    gone, new = (_only(one, other) for one, other in ((before, now), (now, before)))
    return f"{was}{gone and f' with {gone}'}", f"{is_}{new and f' with {new}'}"


def show_cpu(cpu: Mapping[str, Any]) -> str:
    """Return the description of a processor in words."""
    return f"{cpu.get('model')} ({cpu.get('type')})"


def _only(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    features = [set(some) if isinstance(some := cpu.get("features"), list) else set() for cpu in (one, other)]
    return " ".join(sorted(map(str, features[0] - features[1])))


def _model() -> str | None:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", _CPUINFO.read_text(encoding="utf-8", errors="replace"), re.M)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or None
