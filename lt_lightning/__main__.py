"""Run a sub-command: `lt-lightning train …`, or `python -m lt_lightning train …`.

A sub-command starts as under `python -m lt_lightning.train`: Hydra names the log after that module, and modules in the
working directory can be imported. Nothing is imported here that `--help` does not need.
"""

from __future__ import annotations

import difflib
import os
import runpy
import sys
from argparse import RawDescriptionHelpFormatter
from typing import NoReturn

from lt_lightning.runtime.arguments import Parser, start_program
from lt_lightning.runtime.terminal import write

COMMANDS = {
    "train": "find tickets: train, prune, rewind, round after round",
    "report": "draw the report of a run, or compare several runs",
    "export": "pack a ticket into one file",
    "predict": "classify texts with a packed ticket",
    "evaluate": "measure a packed ticket on labelled texts",
    "study": "run what is missing of a study, and judge its claims",
    "connect": "train copies of a run's rounds, and measure the error on the line between them",
}
"""The sub-commands, each a module of the package, with its line in `--help`."""

BASH = r"""
_lt_lightning() {
    local line="${COMP_LINE:0:COMP_POINT}" answers="" answer
    local word="${line##* }" current="${COMP_WORDS[COMP_CWORD]}"
    local program="${COMP_WORDS[0]}" command="${COMP_WORDS[1]}"
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        answers="COMMANDS --help --version --completion"
    elif [[ $command == train && $word != -* ]]; then
        # Hydra completes the settings; names that begin with _ cannot be chosen, and experiments are added.
        answers=$(COMP_LINE="lt-lightning ${line#*train }" "$program" train -sc query=bash 2>/dev/null |
            tr ' ' '\n' | sed -e '/=_/d' -e 's/^experiment=/+experiment=/')
    elif [[ $word == -* ]]; then
        answers=$("$program" "$command" --help 2>/dev/null | grep -oE -e '--[a-z][a-z-]+' | sort -u)
    fi
    # Readline replaces only what follows the last = or :, where these separate words.
    local before="${word%"$current"}"
    if [[ $current == [=:]* ]]; then before="$word"; fi
    while read -r answer; do
        if [[ -n $answer && $answer == "$word"* ]]; then COMPREPLY+=("${answer#"$before"}"); fi
    done <<<"${answers// /$'\n'}"
    if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[=./] ]]; then compopt -o nospace 2>/dev/null; fi
}
complete -o default -F _lt_lightning lt-lightning
""".replace("COMMANDS", " ".join(COMMANDS), 1)
"""The answer to `--completion bash`: sub-commands, their options, and the settings of `train`."""


def main() -> NoReturn:
    """Run the sub-command that the command line names, and exit with its exit code."""
    if sys.argv[1:2] and sys.argv[1] in COMMANDS:
        _import_from_working_directory()
        module = f"lt_lightning.{sys.argv.pop(1)}"
        runpy.run_module(module, run_name="__main__", alter_sys=True)  # sets sys.argv[0], as `python -m` does
        sys.exit(0)
    sys.exit(start_program(_answer))


def _answer() -> None:
    """Answer a command line without a sub-command."""
    listed = "\n".join(f"  {name:<10} {line}" for name, line in COMMANDS.items())
    parser = Parser(
        prog="lt-lightning",
        usage="lt-lightning COMMAND [ARGUMENT ...]",
        description=f"commands:\n{listed}",
        epilog="`lt-lightning COMMAND --help` describes a command.",
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--completion", choices=["bash"], help='complete in this shell: eval "$(… --completion bash)"')
    words = sys.argv[1:]
    if words and not words[0].startswith("-"):
        close = difflib.get_close_matches(words[0], COMMANDS, n=1)
        perhaps = f"; did you mean {close[0]}?" if close else ""
        parser.error(f"there is no command {words[0]!r}{perhaps}; choose from {', '.join(COMMANDS)}")
    if parser.parse_args(words).completion:
        write(*BASH.strip().splitlines())
    else:
        parser.error(f"give a command: {', '.join(COMMANDS)}")


def _import_from_working_directory() -> None:
    """Put the working directory first on the path, where `python -m` has it and a console script its own folder."""
    try:
        here = os.getcwd()  # noqa: PTH109
    except FileNotFoundError:
        return  # the sub-command refuses to start
    if not getattr(sys.flags, "safe_path", False) and sys.path[:1] != [here]:
        sys.path.insert(0, here)


if __name__ == "__main__":
    main()
