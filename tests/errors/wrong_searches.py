"""Wrong settings of a search with Optuna."""

from pathlib import Path

from observing import Case, Kind, train

_SEARCH = ("-m", "hydra/sweeper=optuna", "+experiment=quickstart")
_LR = "optimizer.lr=interval(0.001,0.1)"


def _case(wrong: str, arguments: list[str], *names: str) -> Case:
    return Case(f"{wrong}: `{' '.join(arguments)}`", lambda folder: [*_SEARCH, *arguments], names, train)


def _text(folder: Path) -> list[str]:
    (folder / "notes").write_text("a list\nof words\n")
    return [*_SEARCH, _LR, "hydra.sweeper.storage=notes"]


def _other(folder: Path) -> list[str]:
    from lt_lightning.search.study import StudyPlace, open_study

    open_study(
        StudyPlace(str(folder / "search"), "mine"), "maximize", {"hydra.sweeper.params": {"seed": "choice(0,1)"}}
    )
    return [*_SEARCH, _LR, "hydra.sweeper.storage=search", "hydra.sweeper.study_name=mine"]


CASES = (
    _case("nothing to vary", ["seed=1"], "hydra/sweeper", "no setting to vary", "interval(LOW,HIGH)"),
    _case(
        "a setting to vary that there is not", ["optimizer.rate=interval(0.1,1)"], "optimizer.rate", "no such setting"
    ),
    _case("an empty interval", ["optimizer.lr=interval(0.1,0.001)"], "optimizer.lr", "lower end below"),
    _case(
        "a sampler that there is not", [_LR, "hydra.sweeper.sampler=anneal"], "hydra.sweeper.sampler", "anneal", "tpe"
    ),
    _case("a grid of an interval", [_LR, "hydra.sweeper.sampler=grid"], "hydra.sweeper.sampler", "grid", "choice"),
    _case(
        "an option that a sampler does not take",
        [_LR, "+hydra.sweeper.sampler_options.startup=3"],
        "hydra.sweeper.sampler_options",
        "startup",
    ),
    _case("a pruner that there is not", [_LR, "hydra.sweeper.pruner=mean"], "hydra.sweeper.pruner", "mean", "median"),
    _case("several at once that are none", [_LR, "hydra.sweeper.n_jobs=-1"], "hydra.sweeper.n_jobs", "-1"),
    _case("a direction that is none", [_LR, "hydra.sweeper.direction=up"], "hydra.sweeper.direction", "up", "minimize"),
    _case("an objective of the test part", [_LR, "objective=test_acc"], "objective", "test_acc", "valid_acc"),
    _case(
        "an objective of rounds in a single one",
        [_LR, "objective=auc", "pruning=snip", "pruning.density=0.1"],
        "objective",
        "at_init",
    ),
    _case("a reference that nothing reads", [_LR, "objective_reference=0.9"], "objective_reference", "smallest_within"),
    _case(
        "a database that there is not",
        [_LR, "hydra.sweeper.storage=no://host/db"],
        "hydra.sweeper.storage",
        "no://host/db",
    ),
    Case("a file that is no journal: `hydra.sweeper.storage=notes`", _text, ("hydra.sweeper.storage", "notes"), train),
    Case("a study of another search", _other, ("name", "'mine'", "hydra.sweeper.study_name"), train),
    Case(
        "an interval without a search: `-m optimizer.lr=interval(0.1,1)`",
        lambda folder: ["-m", "optimizer.lr=interval(0.1,1)"],
        ("interval", "hydra/sweeper=optuna"),
        train,
    ),
)

KIND = Kind(
    18,
    "Searches with Optuna",
    "Given to `python -m lt_lightning.train -m hydra/sweeper=optuna +experiment=quickstart`.",
    CASES,
)
