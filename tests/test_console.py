"""`lt-lightning`: the console script runs what `python -m` runs, and completes command lines."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lt_lightning import __version__
from lt_lightning.__main__ import COMMANDS
from trials.kills import SMALL, write_corpus

SCRIPT = f"""#!{sys.executable}
import sys
from lt_lightning.__main__ import main
sys.exit(main())
"""
"""What pip writes for the entry point of pyproject.toml (tests/test_packaging.py compares them)."""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The console script, in a folder apart from the working directory."""
    (tmp_path / "bin").mkdir()
    path = tmp_path / "bin/lt-lightning"
    path.write_text(SCRIPT)
    path.chmod(0o755)
    return path


def ran(*command: str | Path, folder: Path) -> tuple[int, str, str]:
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


def test_help_lists_the_commands_and_imports_no_library(script: Path, tmp_path: Path) -> None:
    code, out, errors = ran(sys.executable, "-X", "importtime", script, "--help", folder=tmp_path)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines() if line[2:].startswith(tuple(COMMANDS))] == list(COMMANDS)
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in errors.splitlines()}
    assert not imported & {"hydra", "numpy", "torch", "pandas", "jinja2", "rich", "omegaconf"}
    assert ran(script, "--version", folder=tmp_path) == (0, f"lt-lightning {__version__}\n", "")


@pytest.mark.parametrize(("words", "said"), [
    ([], "give a command: train, report, export, predict, evaluate, study, connect; see --help\n"),
    (["trian"], "there is no command 'trian'; did you mean train?; choose from train, report, export, predict, "),
    (["--trian"], "unrecognized arguments: --trian; see --help\n"),
    (["--completion", "fish"], "argument --completion: invalid choice: 'fish'"),
])  # fmt: skip
def test_a_wrong_command_is_refused_in_one_line(words: list[str], said: str, tmp_path: Path, script: Path) -> None:
    code, out, errors = ran(script, *words, folder=tmp_path)
    assert (code, out, errors.count("\n")) == (2, "", 1)
    assert errors.startswith(said)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [["train", "pruning.amount=2"], ["report", "nowhere"], ["predict", "nowhere", "a text"], ["export", "-x"]]
)
def test_a_command_answers_as_under_python_m(words: list[str], tmp_path: Path, script: Path) -> None:
    command, *rest = words
    assert ran(script, *words, folder=tmp_path) == ran(
        sys.executable, "-m", f"lt_lightning.{command}", *rest, folder=tmp_path
    )


@pytest.mark.slow
def test_a_sweep_logs_by_the_name_of_train_imports_from_the_working_directory_and_goes_on(tmp_path, script):
    write_corpus(tmp_path / "corpus")
    (tmp_path / "mine.py").write_text("def score(parameters, generator):\n    return dict(parameters)\n")
    settings = ["data=files", "data.path=corpus", *SMALL, "pruning.criterion=mine.score", "pruning.rounds=1"]
    code, out, errors = ran(script, "train", "-m", *settings, "seed=0,1", folder=tmp_path)
    assert (code, errors) == (0, ""), out
    [sweep] = tmp_path.glob("outputs/*/sweeps/*")
    assert sorted(path.name for path in sweep.rglob("*.log")) == ["train.log", "train.log"]
    code, out, errors = ran(script, "train", f"resume={sweep.relative_to(tmp_path)}", "trust=true", folder=tmp_path)
    assert (code, out.count("nothing to do")) == (0, 2), errors


COMPLETE = """
eval "$(lt-lightning --completion bash)"
complete_words() {
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$LINE"; COMP_POINT=${#LINE}
    _lt_lightning; printf '%s\\n' "${COMPREPLY[@]}"
}
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(("line", "words", "expected"), [
    ("lt-lightning ", ["lt-lightning", ""], {*COMMANDS, "--help", "--version", "--completion"}),
    ("lt-lightning ev", ["lt-lightning", "ev"], {"evaluate"}),
    ("lt-lightning export --sm", ["lt-lightning", "export", "--sm"], {"--smallest-winning"}),
    ("lt-lightning train data=f", ["lt-lightning", "train", "data", "=", "f"], {"files"}),
    ("lt-lightning train +experiment=quickstart optimizer=ad",
     ["lt-lightning", "train", "+experiment", "=", "quickstart", "optimizer", "=", "ad"], {"adam", "adamw"}),
])  # fmt: skip
def test_bash_completes_commands_options_and_settings(line, words, expected, tmp_path, script):
    environment = os.environ | {"PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}", "LINE": line}
    program = ["bash", "--norc", "-c", f'{COMPLETE}complete_words "$@"', "bash", *words]
    done = subprocess.run(
        program, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=120, check=True
    )
    assert (set(done.stdout.split()), done.stderr) == (expected, "")
