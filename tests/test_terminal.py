"""Text reaches a terminal, a pipe or a log without control characters, in any encoding."""

import ast
import io
import json
import logging
import os
import subprocess
import sys
import unicodedata
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lt_lightning
from lt_lightning.errors import SettingError
from lt_lightning.runtime import terminal
from lt_lightning.runtime.arguments import start_program
from lt_lightning.runtime.logs import LineFormatter
from trials.kills import SMALL, write_corpus

HOSTILE = "a\x1b]0;title\x07b\x9b2Jc\u202edd\u2066e\x7f\x00"
PACKAGE = Path(lt_lightning.__file__).parent


def acts(letter: str) -> bool:
    bidirectional = unicodedata.bidirectional(letter) in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    return bidirectional or unicodedata.category(letter) in {"Cc", "Zl", "Zp", "Cs"}


@given(st.text() | st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"])))
def test_an_escaped_text_holds_nothing_that_acts_and_all_else_as_it_was(text: str) -> None:
    escaped = terminal.escape(text)
    assert not any(map(acts, escaped))
    harmless = "".join(letter for letter in text if not acts(letter))
    assert terminal.escape(harmless) == harmless


@given(st.dictionaries(st.text(), st.text()))
def test_escaping_a_line_of_json_leaves_its_meaning(value: dict[str, str]) -> None:
    for ascii_only in (True, False):
        line = json.dumps(value, ensure_ascii=ascii_only)
        assert json.loads(terminal.escape(line)) == value


def test_lines_and_complaints_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.write(f"one\t{HOSTILE}", "two\nlines")
    terminal.complain(f"file\n{HOSTILE}: no such file")
    out, err = capsys.readouterr()
    assert out == f"one\t{terminal.escape(HOSTILE)}\ntwo\\nlines\n"
    assert err == f"file {terminal.escape(HOSTILE)}: no such file\n"


def test_log_lines_are_escaped_and_a_traceback_keeps_its_lines() -> None:
    formatter = LineFormatter("%(message)s")
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        record = logging.LogRecord("x", logging.INFO, "x.py", 1, "class %s", (HOSTILE,), sys.exc_info())
    said = formatter.format(record)
    assert not any(acts(letter) for letter in said if letter != "\n")
    assert said.count("\n") >= 3


def test_every_text_file_is_opened_with_an_encoding() -> None:
    """A locale may know ASCII alone."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            given = {keyword.arg for keyword in node.keywords}
            of_distribution = name == "read_text" and node.args  # of importlib.metadata, which takes a file's name
            if name in {"read_text", "write_text"} and not of_distribution:
                assert "encoding" in given, f"{path}:{node.lineno}"
            is_builtin = isinstance(node.func, ast.Name)
            if name == "open" and (is_builtin or not node.args or isinstance(node.args[0], ast.Constant)):
                modes = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
                binary = any("b" in mode for mode in modes[-1:]) or (not is_builtin and not modes)
                assert binary or "encoding" in given, f"{path}:{node.lineno}"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_stream_of_any_encoding_takes_every_text(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    terminal.prepare_streams()
    terminal.write("größe – 宇 … ≥ \ud800")
    terminal.complain("größe – 宇")
    written = [stream.buffer.getvalue().decode(encoding) for stream in streams]
    letters = {"ascii": r"gr\xf6\xdfe", "latin-1": "größe"}[encoding]
    assert written == [f"{letters} - \\u5b87 ... >= \\ud800\n", f"{letters} - \\u5b87\n"]


def test_a_warning_and_a_traceback_of_a_process_are_escaped() -> None:
    program = (
        "import sys, warnings\n"
        "from lt_lightning.runtime.terminal import prepare_streams\n"
        "prepare_streams()\n"
        f"warnings.warn({HOSTILE!r})\n"
        f"raise ValueError({HOSTILE!r})\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr.count(terminal.escape(HOSTILE)) >= 2
    assert not any(acts(letter) for letter in ran.stderr if letter != "\n")


@pytest.mark.parametrize(("program", "flag"), [
    ("predict", "--help"), ("report", "--version"), ("export", "--help"), ("evaluate", "--version"),
    ("train", "--help"), ("train", "--version"),
])  # fmt: skip
def test_a_reader_that_closes_its_end_ends_a_program_in_silence(program: str, flag: str) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        command = [sys.executable, "-m", f"lt_lightning.{program}", flag]
        ran = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, text=True, check=False)
    assert not ran.stderr
    assert ran.returncode in (0, 141)  # argparse itself ignores that its help cannot be written


@pytest.mark.parametrize("program", ["predict", "report", "export", "evaluate", "connect", "study", "train"])
def test_every_program_prints_the_version_of_this_project(program: str) -> None:
    command = [sys.executable, "-m", f"lt_lightning.{program}", "--version"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr, ran.stdout) == (0, "", f"lt-lightning {lt_lightning.__version__}\n")


def broken() -> int:
    raise BrokenPipeError


def closed() -> int:
    raise SystemExit(3)


@pytest.mark.parametrize(("main", "code"), [(lambda: None, 0), (lambda: 2, 2), (broken, 141), (closed, 3)])
def test_a_program_ends_with_the_code_of_its_entry_point(main, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    assert start_program(main) == code
    assert os.environ["MPLBACKEND"] == "agg"


def test_a_full_disk_behind_stdout_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SettingError, match="stdout: cannot be written"):
            terminal.write("a line")


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize("encoding", [None, "ascii:strict", "latin-1"])
def test_under_a_locale_of_ascii_paths_and_texts_arrive_as_they_were_typed(encoding: str | None) -> None:
    starter = (
        "import sys; from lt_lightning.runtime.arguments import start_program\n"
        "def main():\n"
        "    from lt_lightning.runtime.terminal import write\n"
        "    write(sys.argv[1], ascii(sys.argv[1]), str(sys.flags.utf8_mode))\n"
        "sys.exit(start_program(main))\n"
    )
    environment = {**os.environ, **ASCII, **({} if encoding is None else {"PYTHONIOENCODING": encoding})}
    command = [sys.executable, "-c", starter, "größe"]
    ran = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert (ran.returncode, ran.stderr) == (0, b"")
    said = {None: "größe".encode(), "ascii:strict": rb"gr\xf6\xdfe", "latin-1": "größe".encode("latin-1")}[encoding]
    assert ran.stdout.split() == [said, rb"'gr\xf6\xdfe'", b"1"]


@pytest.mark.slow
@pytest.mark.parametrize("sweep", [False, True])
def test_a_run_whose_reader_has_gone_stops_and_says_how_to_go_on(sweep: bool, tmp_path: Path) -> None:
    write_corpus(tmp_path / "corpus")
    command = [
        sys.executable, "-m", "lt_lightning.train",
        *(["-m", "seed=0,1", "hydra.sweep.dir=run"] if sweep else ["hydra.run.dir=run"]),
        "data=files", "data.path=corpus", *SMALL,
    ]  # fmt: skip
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        ran = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, text=True, cwd=tmp_path, check=False)
    if sweep:  # nothing has begun
        assert (ran.returncode, ran.stderr) == (141, "")
    else:
        said = "error: stdout: its reader has closed it; the run has stopped"
        assert (ran.returncode, ran.stderr.splitlines()) == (
            2,
            [f"{said}; resume with: python -m lt_lightning.train resume=run"],
        )
