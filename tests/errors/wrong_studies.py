"""Studies whose file, runs or table `python -m lt_lightning.study` cannot use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from observing import Case, Kind

from lt_lightning.runs.description import Description, write_description

STUDY = """\
question: Is the mask what matters?
densities: [0.5, 0.25]
corpora:
  own: {set: [data=files], epochs: 2}
arms:
  init: {set: [pruning.rewind=init]}
  shuffled: {of: init, set: [pruning.mask=shuffle]}
claims:
  - {claim: The mask matters., first: init, second: shuffled}
"""
HEADER = "corpus,length,arm,seed,round,density,weights,epochs,steps,valid,test,chance,seconds,instability\n"


def study(arguments: Sequence[str]) -> int:
    """`python -m lt_lightning.study`."""
    from lt_lightning.study.__main__ import main

    return main(arguments)


def _case(
    wrong: str,
    names: Sequence[str],
    *arguments: str,
    old: str = "",
    new: str = "",
    change: Callable[[Path], object] = lambda _: None,
) -> Case:
    """The study `mine.yaml`, a text of it replaced, is asked for its plan, unless other arguments are given."""

    def make(folder: Path) -> list[str]:
        assert old in STUDY
        (folder / "mine.yaml").write_text(STUDY.replace(old, new, 1))
        change(folder)
        return list(arguments) or ["mine.yaml", "--plan"]

    return Case(wrong, make, tuple(names), study)


def _run_of_before(folder: Path) -> None:
    run = folder / "outputs/studies/mine/own/x1/init/seed_0"
    run.mkdir(parents=True)
    write_description(run, Description(command=("data=files", "trainer.max_epochs=9"), finished="now"))


def _table(text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "rounds.csv").write_text(text)


_TABLE = ("mine.yaml", "--table", "rounds.csv")
_ROW = "own,1,init,0,1,0.5,10,2,4,0.8,0.7,0.5,1.0,\n"

CASES = (
    _case("no study", ["give a study", "protocol"], "--plan"),
    _case("a name that is mistyped", ["'protocl'", "did you mean protocol?"], "protocl", "--plan"),
    _case("a file that is not there", ["yours.yaml", "no such file"], "yours.yaml"),
    _case("a file that is no YAML", ["mine.yaml", "no YAML", "line 3, column 1"], old="[0.5", new="[[0.5"),
    _case("a key that there is not", ["mine.yaml", "quest", "question?"], old="question", new="quest"),
    _case("no epochs", ["corpora.own.epochs", "missing"], old=", epochs: 2", new=""),
    _case("epochs that are no number", ["corpora.own.epochs", "two"], old="epochs: 2", new="epochs: two"),
    _case("densities that rise", ["densities", "fall"], old="[0.5, 0.25]", new="[0.25, 0.5]"),
    _case("an arm that is not there", ["arms.shuffled.of", "'int'"], old="of: init", new="of: int"),
    _case("a branch of a branch", ["arms.shuffled.of", "no tickets"], old="of: init", new="of: shuffled"),
    _case("a claim on an arm that is not there", ["claims[0].second", "'random'"], old="second: shuffled",
          new="second: random"),
    _case("a claim at a density that no round leaves", ["claims[0].densities", "30 %"], old="second: shuffled",
          new="second: shuffled, densities: [0.3]"),
    _case("a setting that the study sets", ["seed", "study's file"], "mine.yaml", "seed=3"),
    _case("a word that is no setting", ["'fast'"], "mine.yaml", "fast"),
    _case("a budget that is no number", ["--budget", "'soon'"], "mine.yaml", "--budget", "soon"),
    _case("a corpus that is not in the study", ["--corpus", "'mine'", "own"], "mine.yaml", "--corpus", "mine"),
    _case("data of a corpus that is not in the study", ["--data", "mine=x", "own"], "mine.yaml", "--data", "mine=x"),
    _case("a run that was made with other settings", ["outputs/studies/mine/own/x1/init/seed_0", "max_epochs=9", "-o"],
          change=_run_of_before),
    _case("a table that is not there", ["rounds.csv", "no such file"], *_TABLE),
    _case("a table without a column", ["rounds.csv", "chance"], *_TABLE, change=_table(HEADER.replace("chance", "x"))),
    _case("a table with an arm that the study lacks", ["rounds.csv", "arm imp"], *_TABLE,
          change=_table(HEADER + _ROW.replace("init", "imp"))),
    _case("a table with a round twice", ["rounds.csv", "twice"], *_TABLE, change=_table(HEADER + 2 * _ROW)),
    _case("a table with half a number", ["rounds.csv", "'0.7.'"], *_TABLE,
          change=_table(HEADER + _ROW.replace("0.7,", "0.7.,"))),
)  # fmt: skip

KIND = Kind(
    19, "Studies", "Given to `python -m lt_lightning.study`, with a study `mine.yaml` in the working directory.", CASES
)
