"""Measure what examples/serve/Dockerfile adds to its base image: `python -m benchmarks.image [--ticket FILE]`.

Needs no Docker: the instructions are followed in a virtual environment in place of the base image, with a wheel of this
checkout and the versions of constraints.txt. The base image comes on top.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import RawIOBase
from pathlib import Path
from typing import NamedTuple

from lt_lightning.errors import SettingError
from lt_lightning.experiment.hydra_main import fail

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "examples/serve/Dockerfile"
GZIP_LEVEL = 6
"""The compression of layers by default, of zlib and of Docker."""


class Instruction(NamedTuple):
    """An instruction of a Dockerfile, such as `RUN` and its arguments on one line."""

    name: str
    arguments: str


class Layer(NamedTuple):
    """What an instruction adds to an image.

    Attributes:
        instruction: the line that adds it.
        size: the bytes of its files.
        compressed: the bytes of the files as tar.gz, as a registry keeps them.
    """

    instruction: Instruction
    size: int
    compressed: int


@dataclass
class Image:
    """A Dockerfile, followed in a folder and a virtual environment.

    Attributes:
        folder: stands for the working directory `/srv`.
        environment: a virtual environment that stands for the base image.
        variables: the environment variables of the container.
        layers: the sizes of RUN and COPY.
        command, health: the arguments of CMD and of HEALTHCHECK's.
    """

    folder: Path
    environment: Path
    variables: dict[str, str] = field(default_factory=dict)
    layers: list[Layer] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)


def read_dockerfile(text: str) -> Iterator[Instruction]:
    """Yield the instructions, without comments and with continued lines joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if line.strip():
            name, _, arguments = line.partition(" ")
            yield Instruction(name, arguments.strip())


def follow(dockerfile: Path, context: Path, scratch: Path, variables: Mapping[str, str]) -> Image:
    """Follow a Dockerfile in the folder `scratch`.

    Args:
        dockerfile: its file.
        context: the folder that COPY copies from.
        scratch: an empty folder.
        variables: environment variables for RUN, such as PIP_CONSTRAINT.

    Raises:
        SettingError: an instruction is unknown or fails.
    """
    image = Image(scratch / "srv", scratch / "env")
    image.folder.mkdir()
    subprocess.run([sys.executable, "-m", "venv", image.environment], check=True)
    path = f"{image.environment / 'bin'}{os.pathsep}{os.environ['PATH']}"
    image.variables = {"PATH": path}
    for one in read_dockerfile(dockerfile.read_text(encoding="utf-8")):
        before = _files(scratch)
        if one.name == "COPY":
            _copy(one, context, image.folder)
        elif one.name == "RUN":
            _run(one, image, variables)
        elif one.name == "ENV":
            place = str(image.folder)
            image.variables |= dict(word.replace("/srv", place).split("=", 1) for word in shlex.split(one.arguments))
        elif one.name == "CMD":
            image.command = json.loads(one.arguments)
        elif one.name == "HEALTHCHECK":
            image.health = json.loads(one.arguments.partition("CMD ")[2])
        elif one.name not in ("FROM", "WORKDIR", "USER", "EXPOSE"):
            raise SettingError(f"{dockerfile}: {one.name} is unknown here; teach it to benchmarks/image.py")
        if one.name in ("COPY", "RUN"):
            added = [path for path, stamp in _files(scratch).items() if before.get(path) != stamp]
            size = sum(path.lstat().st_size for path in added)
            image.layers.append(Layer(one, size, compressed_size(added, scratch)))
    return image


def build_wheel(folder: Path) -> Path:
    """Build this checkout's wheel in a folder.

    Raises:
        SettingError: pip fails.
    """
    words = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    _check(subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, check=False), "pip wheel")
    [wheel] = folder.glob("lt_lightning-*.whl")
    return wheel


def compressed_size(paths: Sequence[Path], root: Path) -> int:
    """Return the size of files as tar.gz."""
    sink = _Counter()
    with (
        gzip.GzipFile(fileobj=sink, mode="wb", compresslevel=GZIP_LEVEL, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|") as archive,
    ):
        for path in sorted(paths):
            archive.add(path, path.relative_to(root))
    return sink.written


def table(layers: Sequence[Layer]) -> str:
    """Return the layers as a Markdown table."""
    rows = [(f"`{one.instruction.name} {one.instruction.arguments}`", one.size, one.compressed) for one in layers]
    rows.append(("all, without the base image", sum(row[1] for row in rows), sum(row[2] for row in rows)))
    lines = [f"| {name} | {size / 1e6:.1f} MB | {compressed / 1e6:.1f} MB |" for name, size, compressed in rows]
    return "\n".join(["| layer | files | compressed |", "|---|---|---|", *lines])


def main(arguments: Sequence[str] | None = None) -> None:
    """Follow the Dockerfile, and print the sizes of its layers."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.image", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ticket", type=Path, help="the ticket to copy (an empty file)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        context, scratch = Path(folder, "context"), Path(folder, "scratch")
        shutil.copytree(DOCKERFILE.parent, context)
        scratch.mkdir()
        if options.ticket:
            shutil.copyfile(options.ticket, context / "ticket.safetensors")
        else:
            (context / "ticket.safetensors").touch()
        build_wheel(context)
        image = follow(DOCKERFILE, context, scratch, {"PIP_CONSTRAINT": str(ROOT / "constraints.txt")})
        print(table(image.layers))


def _copy(one: Instruction, context: Path, folder: Path) -> None:
    *patterns, place = one.arguments.split()
    found = [path for pattern in patterns for path in sorted(context.glob(pattern))]
    missing = [pattern for pattern in patterns if "*" not in pattern and not (context / pattern).exists()]
    if missing or not found or place != "./":
        raise SettingError(f"COPY {one.arguments}: {context} has no {', '.join(missing or patterns)}; put it there")
    for path in found:
        shutil.copy2(path, folder)


def _run(one: Instruction, image: Image, variables: Mapping[str, str]) -> None:
    environment = {**os.environ, **image.variables, **variables}
    words = {"cwd": image.folder, "env": environment, "capture_output": True, "text": True, "check": False}
    _check(subprocess.run(["/bin/sh", "-c", one.arguments], **words), f"RUN {one.arguments}")


def _check(ran: subprocess.CompletedProcess[str], name: str) -> None:
    if ran.returncode:
        said = (ran.stderr.strip().splitlines() or ["nothing"])[-1]
        raise SettingError(f"{name}: failed with exit code {ran.returncode}: {said}")


def _files(folder: Path) -> dict[Path, tuple[int, int]]:
    paths = (path for path in folder.rglob("*") if path.is_file() or path.is_symlink())
    return {path: (path.lstat().st_size, path.lstat().st_mtime_ns) for path in paths}


class _Counter(RawIOBase):
    """A file that counts what is written, and keeps none of it."""

    written = 0

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.written += len(data)
        return len(data)


if __name__ == "__main__":
    try:
        main()
    except SettingError as error:
        fail(str(error))
