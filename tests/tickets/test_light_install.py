"""`pip install lt-lightning` in a fresh environment predicts without torch, and refuses the rest in one line."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from packing import RNN, make_packed

from lt_lightning import Ticket, __version__

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
LARGEST = 80
"""The size of an installation that may not be exceeded, in MB; with Python's bytecode, in MiB."""
TEXTS = ["w2 w3, w4!", "", "w5 unknown W6", "w7 w8 w2 w2 w3"]
REMEDY = "not installed: pip install 'lt-lightning[train]'"


def pip(*words: str | Path, to: Path | None = None) -> None:
    """Run pip, in another environment if `to` is its Python; skip where no index can be reached."""
    place = ["--python", to] if to is not None else []
    command = [sys.executable, "-m", "pip", *place, *words, "--quiet", "--disable-pip-version-check"]
    ran = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    unreachable = ("NewConnectionError", "ConnectTimeout", "Name or service not known", "ReadTimeout", "ProxyError")
    if any(word in ran.stderr for word in unreachable):
        pytest.skip("the package index cannot be reached")
    assert ran.returncode == 0, ran.stderr


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install this version's wheel into an environment of its own, and return its Python."""
    for module in ("pip", "hatchling"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"needs {module}")
    folder = tmp_path_factory.mktemp("light")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    [wheel] = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
    python = folder / "env" / "bin" / "python"
    pip("install", wheel, "--constraint", ROOT / "constraints.txt", "--retries", "1", to=python)
    return python


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder without the checkout, whose package must not be the one that answers."""
    return tmp_path_factory.mktemp("elsewhere")


def run(python: Path, folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(python), *map(str, words)], cwd=folder, capture_output=True, text=True, check=False)


def site(python: Path) -> Path:
    [folder] = python.parents[1].glob("lib/python*/site-packages")
    return folder


def test_it_is_small_and_brings_no_torch(python: Path) -> None:
    files = [path for path in site(python).rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    bytecode = sum(path.stat().st_size for path in files if path.suffix == ".pyc")
    assert 0 < bytecode < size
    assert (size - bytecode) / 1e6 <= LARGEST
    assert size / 2**20 <= LARGEST
    there = {path.name.lower() for path in site(python).iterdir()}
    assert {"numpy", "lt_lightning"} <= there
    assert (
        not {"tokenizers", "huggingface_hub", "torch", "pytorch_lightning", "datasets", "pandas", "hydra", "pyarrow"}
        & there
    )


def predict(python: Path, folder: Path, ticket: Path, texts: Sequence[str]) -> np.ndarray:
    """Return what `predict` of an environment answers to these texts."""
    ran = run(python, folder, "-m", "lt_lightning.predict", ticket, "--jsonl", "--", *texts)
    assert ran.returncode == 0, ran.stderr
    answers = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [answer["text"] for answer in answers] == list(texts)
    names = Ticket.load(ticket).class_names
    return np.array([[answer["probabilities"][name] for name in names] for answer in answers])


@pytest.mark.parametrize("model", [{}, RNN], ids=["cnn", "rnn"])
def test_it_answers_as_a_full_installation_does(python: Path, elsewhere: Path, model: dict) -> None:
    ticket = elsewhere / "ticket.safetensors"
    (make_packed(model) if model else make_packed()).save(ticket)
    expected = Ticket.load(ticket).predict(TEXTS)
    assert np.abs(predict(python, elsewhere, ticket, TEXTS) - expected).max() < 2e-6
    code = (
        "import sys; from lt_lightning import Ticket; texts = sys.argv[2:];"
        "print(Ticket.load(sys.argv[1]).predict(texts).tolist(), __import__('lt_lightning').__file__)"
    )
    ran = run(python, elsewhere, "-c", code, ticket, *TEXTS)
    assert str(site(python)) in ran.stdout, ran.stderr
    answers = json.loads(ran.stdout.rpartition(" ")[0])
    assert np.allclose(answers, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("command", ["train", "report", "export", "evaluate", "connect"])
def test_commands_that_need_more_say_so_in_one_line(python: Path, elsewhere: Path, command: str) -> None:
    words = ["+experiment=quickstart"] if command == "train" else ["no_such_run"]
    console = python.with_name("lt-lightning")
    for start in ([python, "-m", f"lt_lightning.{command}"], [console, command]):
        ran = run(start[0], elsewhere, *start[1:], *words)
        assert ran.returncode == 2
        assert ran.stdout == ""
        [line] = ran.stderr.splitlines()
        assert f"lt_lightning.{command} needs " in line and line.endswith(REMEDY), line
        assert run(start[0], elsewhere, *start[1:], "--version").stdout == f"lt-lightning {__version__}\n"
    assert "torch" in line or command in ("report", "evaluate")
    assert [*elsewhere.glob("outputs")] == []


def test_commands_that_need_no_more_answer(python: Path, elsewhere: Path) -> None:
    console = python.with_name("lt-lightning")
    for words in (["--help"], ["--version"], ["--completion", "bash"], ["predict", "--help"], ["report", "--help"]):
        ran = run(console, elsewhere, *words)
        assert (ran.returncode, ran.stderr) == (0, ""), words
    ran = run(console, elsewhere, "predict", "nothing.safetensors", "a text")
    assert (ran.returncode, ran.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize("statement", [
    "from lt_lightning import run",
    "from lt_lightning.callbacks import PruningCallback",
    "from lt_lightning.lottery import Mask",
    "from lt_lightning.models import MultiCNN",
    "from lt_lightning.runs import load_runs",
    "import lt_lightning.train",
])  # fmt: skip
def test_modules_that_need_more_raise_an_import_error_with_that_line(
    python: Path, elsewhere: Path, statement: str
) -> None:
    code = f"try:\n    {statement}\nexcept ImportError as error:\n    print(error)"
    ran = run(python, elsewhere, "-c", code)
    assert ran.stdout.startswith("lt_lightning."), ran.stderr
    assert ran.stdout.endswith(f"{REMEDY}\n") and ran.stdout.count("\n") == 1


def test_a_ticket_that_splits_texts_with_spacy_names_the_extra(python: Path, elsewhere: Path) -> None:
    ticket = elsewhere / "spacy.safetensors"
    make_packed(splitter="spacy").save(ticket)
    ran = run(python, elsewhere, "-m", "lt_lightning.predict", ticket, "a text")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.endswith('pip install "lt-lightning[spacy]"\n')


def test_an_encoder_is_answered_with_the_extra_onnxruntime(python: Path, elsewhere: Path) -> None:
    for module in ("transformers", "onnx", "onnxscript"):
        pytest.importorskip(module)
    from test_encoder_tickets import pack

    from lt_lightning.export.graph import make_graph, without_weights
    from lt_lightning.tickets.encoder.network import by_torch
    from lt_lightning.tickets.encoder.reading import PieceReader

    packed = pack()
    packed = replace(packed, graph=without_weights(make_graph(packed), packed.parameters))
    ticket = elsewhere / "encoder.safetensors"
    packed.save(ticket)
    texts = ["the cat", "a dog and the bread"]
    ran = run(python, elsewhere, "-m", "lt_lightning.predict", ticket, *texts)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert 'pip install "lt-lightning[onnxruntime]"' in ran.stderr
    assert ran.stderr.count("\n") == 1

    pip("install", f"lt-lightning[onnxruntime]=={__version__}", "--constraint", ROOT / "constraints.txt", to=python)
    answer, reader = by_torch(packed), PieceReader(packed.tokenizer)
    logits = [answer(ids[None].astype(np.int64), np.ones((1, len(ids)), np.int64))[0] for ids in reader.read(texts)]
    powers = np.exp(np.array(logits) - np.max(logits, axis=1, keepdims=True))
    expected = powers / powers.sum(axis=1, keepdims=True)
    assert np.abs(predict(python, elsewhere, ticket, texts) - expected).max() < 1e-5
    assert not (site(python) / "torch").exists()
