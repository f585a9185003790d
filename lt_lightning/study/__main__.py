"""Run a study: `python -m lt_lightning.study NAME [--plan] [--budget HOURS] [KEY=VALUE …]`.

Runs what is missing, and judges the claims. torch is imported only where something has to be run.
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lt_lightning.errors import SettingError
from lt_lightning.extras import require_training
from lt_lightning.runtime.arguments import Parser, exit_code, require_working_directory, run_advised, start_program
from lt_lightning.runtime.terminal import write
from lt_lightning.study.description import ADVICE

if TYPE_CHECKING:
    from lt_lightning.study.description import Corpus, Study
    from lt_lightning.study.sweeper import Request


def main(arguments: Sequence[str] | None = None) -> int:
    """Plan or run a study, print its verdicts, and return the exit code; see `exit_code`."""
    parser = Parser(
        prog="python -m lt_lightning.study",
        description="Run what is missing of a study, and judge each of its claims: supported, refuted or undecided. "
        "The same command goes on with a study that was stopped.",
    )
    name = "a study in conf/study, or a file that ends in .yaml"
    parser.add_argument("name", metavar="NAME", nargs="?", default="", help=name)
    settings = (
        "settings of all runs, or of Hydra: trainer.accelerator=gpu, hydra/launcher=joblib hydra.launcher.threads=1"
    )
    parser.add_argument("settings", metavar="KEY=VALUE", nargs="*", help=settings)
    parser.add_argument("--plan", action="store_true", help="say what is missing and how long it takes; run nothing")
    budget = "start no run that is not over after so many hours, as far as can be told"
    parser.add_argument("--budget", metavar="HOURS", type=_hours, help=budget)
    data = "where the data of a corpus lie: agnews=FOLDER; can be repeated"
    parser.add_argument("--data", metavar="CORPUS=PATH", action="append", default=[], help=data)
    only = "take this corpus alone; can be repeated"
    parser.add_argument("--corpus", metavar="NAME", action="append", default=[], help=only)
    folder = "the study's folder (default: outputs/studies/NAME)"
    parser.add_argument("-o", "--output", metavar="FOLDER", type=Path, help=folder)
    table = "judge the claims from a table of rounds, such as docs/results/NAME/rounds.csv; run nothing"
    parser.add_argument("--table", metavar="FILE", type=Path, help=table)
    given = parser.parse_intermixed_args(arguments)
    for one in given.settings:
        if "=" not in one:
            parser.error(f"argument KEY=VALUE: {one!r} is no setting")
    return exit_code(lambda: _run(given))


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = math.nan
    if not 0 < hours < math.inf:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no number of hours above 0")
    return hours


def _run(given: argparse.Namespace) -> None:
    require_working_directory()
    require_training("lt_lightning.study", "pandas", "scipy", "matplotlib", "omegaconf")
    from lt_lightning.experiment.start_check import check_folder
    from lt_lightning.study.file import find_file, only_corpora, read_study
    from lt_lightning.study.jobs import jobs_of, require_same_settings
    from lt_lightning.study.plan import describe, measure_paces, missing

    study = read_study(find_file(given.name))
    chosen = only_corpora(study, given.corpus)
    if given.table is not None:
        _judge_table(study, given.table, given.output or given.table.parent)
        return
    folder = given.output or Path("outputs", "studies", study.name)
    check_folder(folder, "--output")
    of_runs = [one for one in given.settings if not one.startswith("hydra")]
    everything = jobs_of(study, of_runs, _data(given.data, study.corpora))
    require_same_settings(everything, folder)
    jobs = [job for job in everything if job.corpus in chosen.corpora]
    left = missing(jobs, folder)
    paces = measure_paces(jobs, folder) if left else {}
    plan = describe(jobs, left, paces)
    if given.plan:
        write(study.question, "", *plan)
        return
    failed: set[str] = set()
    if left:
        from lt_lightning.study.sweeper import Request

        write(plan[-1])
        failed = _run_jobs(Request(jobs, folder, paces, given.budget), given.settings)
    from lt_lightning.study.results import write_results
    from lt_lightning.study.rounds import gather_rounds

    write(*write_results(study, gather_rounds(everything, folder), folder))
    if failed:
        raise SettingError(
            f"{len(failed)} of the study's runs failed, for the reasons above; correct them, and start the same "
            "command again"
        )


def _judge_table(study: Study, table: Path, folder: Path) -> None:
    from lt_lightning.experiment.start_check import check_folder
    from lt_lightning.study.results import write_results
    from lt_lightning.study.rounds import read_rounds

    check_folder(folder, "--output")
    write(*write_results(study, read_rounds(table, study), folder))


def _data(given: Sequence[str], corpora: Mapping[str, Corpus]) -> dict[str, str]:
    """Return the folders of the data by corpus."""
    found = {}
    for one in given:
        corpus, equals, path = one.partition("=")
        if corpus not in corpora or not equals or not path:
            raise SettingError(f"--data: {one!r}: give CORPUS=PATH, with one of {', '.join(corpora)}")
        found[corpus] = str(Path(path).absolute())
    return found


def _run_jobs(request: Request, settings: Sequence[str]) -> set[str]:
    """Run what is missing under Hydra, and return the folders of the runs that failed."""
    from lt_lightning.config.quoting import quoted
    from lt_lightning.experiment.hydra_main import run_hydra
    from lt_lightning.study.sweeper import requested
    from lt_lightning.train import task

    requested.set(request)
    places = ["hydra/sweeper=study", f"hydra.sweep.dir={quoted(str(request.folder))}", "resume=auto"]
    sys.argv[1:] = ["--multirun", *settings, *places]
    run_hydra(task)
    logging.root.handlers.clear()  # Hydra's, which would print what matplotlib logs
    logging.root.setLevel(logging.WARNING)
    return request.failed


if __name__ == "__main__":
    sys.exit(start_program(lambda: run_advised(main, ADVICE)))
