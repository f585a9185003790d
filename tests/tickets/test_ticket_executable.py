"""One executable file answers as `lt_lightning.predict` does, with Python and NumPy alone."""

import ast
import io
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from packing import CNN, RNN, make_packed
from test_ticket_javascript import known_words, odd_texts

from lt_lightning import predict
from lt_lightning.errors import SettingError
from lt_lightning.export.executable import executable
from lt_lightning.export.export import Wishes
from lt_lightning.export.standalone import check_runnable

TEXTS = odd_texts(60)
WORDS = tuple(known_words(TEXTS, 150))


@pytest.fixture(scope="module")
def numpy_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with NumPy, and another version of this package that cannot be imported."""
    folder = tmp_path_factory.mktemp("numpy")
    installed = Path(np.__file__).parent
    for path in (installed, installed.with_name("numpy.libs")):
        if path.exists():
            (folder / path.name).symlink_to(path)
    (folder / "lt_lightning").mkdir()
    (folder / "lt_lightning" / "__init__.py").write_text("raise SystemError('the installed one')")
    return folder


def run(program: Path, *words: str, given: bytes = b"", path: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run a file with a Python without site-packages, and the modules of `path`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment = kept if path is None else {**kept, "PYTHONPATH": str(path)}
    return subprocess.run([sys.executable, "-S", program, *words], input=given, env=environment, capture_output=True)


@pytest.mark.parametrize(("model", "splitter"), [(CNN, "words"), (CNN, "letters"), (RNN, "words")])
def test_it_answers_to_the_byte_as_predict_does(model, splitter, numpy_alone, tmp_path, monkeypatch, capsys):
    known = WORDS if splitter == "words" else tuple(sorted({*"".join(WORDS)}))
    ticket = replace(make_packed(model, words=len(known) + 2, unknown=True, splitter=splitter), words=known)
    ticket.save(tmp_path / "a.safetensors")
    program = tmp_path / "a.pyz"
    program.write_bytes(executable((tmp_path / "a.safetensors").read_bytes()))
    program.chmod(0o444)
    lines = [text.encode("utf-8", "ignore") for text in TEXTS]
    given = b"\n".join([*lines, rb'{"id": 7, "text": "half \ud800 a pair, \udfff \ud83d\ude00"}'])
    options = ["--jsonl", "--explain", "--top", "2"]

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(given), isatty=lambda: False))
    assert predict.main([str(tmp_path / "a.safetensors"), *options]) == 0
    expected = capsys.readouterr().out
    ran = run(program, *options, given=given, path=numpy_alone)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert ran.stdout.decode() == expected
    assert expected.count("\n") == len(lines) + 1

    pages = [tmp_path / "ours.html", tmp_path / "theirs.html"]
    assert predict.main([str(tmp_path / "a.safetensors"), "--explain", "--html", str(pages[0]), "w2 w3"]) == 0
    ran = run(program, "--explain", "--html", str(pages[1]), "w2 w3", path=numpy_alone)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert pages[1].read_text() == pages[0].read_text().replace("a.safetensors", program.name)


def test_without_numpy_one_line_says_what_to_install(tmp_path):
    (tmp_path / "a.pyz").write_bytes(executable(b""))
    ran = run(tmp_path / "a.pyz", "a text")
    reason = "needs NumPy, which cannot be imported (No module named 'numpy'); pip install numpy"
    assert (ran.returncode, ran.stdout, ran.stderr.decode()) == (2, b"", f"a.pyz: {reason}\n")


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(executable(b""))) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist() if name.endswith(".py")}


def test_an_old_python_reads_the_beginning_and_python_3_10_the_rest(sources, monkeypatch, capsys):
    for name, source in sources.items():
        ast.parse(source, feature_version=(3, 4) if name == "__main__.py" else (3, 10))
    monkeypatch.setattr(sys, "version_info", (3, 9, 18))
    monkeypatch.setattr(sys, "argv", ["there/a.pyz"])
    with pytest.raises(SystemExit) as stopped:
        exec(compile(sources["__main__.py"], "a.pyz", "exec"), {})
    reason = "needs Python 3.10 or later, and this is 3.9; run it with another"
    assert (stopped.value.code, capsys.readouterr().err) == (2, f"a.pyz: {reason}\n")


def test_it_is_small_and_the_same_for_the_same_ticket(sources):
    ticket = bytes(1000)
    assert executable(ticket) == executable(ticket)
    assert len(executable(ticket)) < len(ticket) + 100_000
    assert {"lt_lightning/predict.py", "lt_lightning/data/characters.py"} < {*sources}
    assert not any("/encoder/" in name or "/export/" in name for name in sources)


def test_a_damaged_one_is_refused(tmp_path, capsys):
    make_packed().save(tmp_path / "a.safetensors")
    content = bytearray((tmp_path / "a.safetensors").read_bytes())
    content[-3] ^= 1
    assert predict.main_of_file(tmp_path / "a.pyz", bytes(content), ["a text"]) == 2
    assert "a.pyz: cut off or changed since it was written" in capsys.readouterr().err


def test_tickets_that_need_more_than_numpy_are_refused():
    with pytest.raises(SettingError, match=r"--pyz: spaCy, which splits .*; train with data.tokenizer=words"):
        check_runnable(make_packed(splitter="spacy"), Wishes(pyz=Path("a.pyz")))
    with pytest.raises(SettingError, match=r"--pyz: a pre-trained encoder needs more than NumPy; leave it out"):
        check_runnable(SimpleNamespace(), Wishes(pyz=Path("a.pyz")))  # pyright: ignore[reportArgumentType]
    check_runnable(make_packed(splitter="spacy"), Wishes())
