"""Read `conf/study/NAME.yaml`: the question, the corpora, the arms and the claims of a study. Imports no torch."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Dict, List, Optional  # noqa: UP035 (OmegaConf reads these)

from lt_lightning.config.folder import config_folder
from lt_lightning.errors import SettingError
from lt_lightning.study.checks import find_faults
from lt_lightning.study.description import Arm, Claim, Corpus, Study


# The file as OmegaConf checks it: types, unknown keys, missing values.
@dataclass
class _CorpusFile:
    set: List[str]  # noqa: UP006
    epochs: int
    seeds: Any = None
    lengths: Optional[List[int]] = None  # noqa: UP006, UP045
    densities: Any = None
    arms: List[str] = field(default_factory=list)  # noqa: UP006


@dataclass
class _ArmFile:
    set: List[str] = field(default_factory=list)  # noqa: UP006
    of: Optional[str] = None  # noqa: UP045
    dense: bool = False
    steps: int = 1


@dataclass
class _ClaimFile:
    claim: str
    first: str
    second: str
    kind: str = "better"
    margin: float = 0.5
    densities: List[float] = field(default_factory=list)  # noqa: UP006


@dataclass
class _StudyFile:
    question: str
    corpora: Dict[str, _CorpusFile]  # noqa: UP006
    arms: Dict[str, _ArmFile]  # noqa: UP006
    densities: Any = None
    seeds: Any = 5
    lengths: List[int] = field(default_factory=lambda: [1])  # noqa: UP006
    claims: List[_ClaimFile] = field(default_factory=list)  # noqa: UP006


_MOST_ROUNDS = 1000


def find_file(name: str) -> Path:
    """Return the file of a study: a path that ends in `.yaml`, or a name in `conf/study`.

    A file in `conf/study` below the working directory precedes the one that comes with the package.

    Raises:
        SettingError: there is no such file.
    """
    if name.endswith((".yaml", ".yml")):
        if not Path(name).is_file():
            raise SettingError(f"{name}: no such file; give the file of a study, or the name of one in conf/study")
        return Path(name)
    folders = dict.fromkeys([Path("conf/study"), Path(config_folder(), "study")])
    known = [path.stem for folder in folders for path in sorted(folder.glob("*.yaml"))]
    for folder in folders:
        if re.fullmatch(r"[\w.-]+", name) and (path := folder / f"{name}.yaml").is_file():
            return path
    close = difflib.get_close_matches(name, known, n=1)
    perhaps = f"did you mean {close[0]}? " if close else ""
    there = f"there is no study {name!r}" if name else "give a study"
    raise SettingError(
        f"{there}; {perhaps}choose from {', '.join(dict.fromkeys(known)) or 'none'}, or give a file that ends in .yaml"
    )


def read_study(path: Path) -> Study:
    """Return the study that a file describes.

    Raises:
        SettingError: the file cannot be read, or a value in it is refused; the message names the file and the value.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        loaded = OmegaConf.load(path)
        merged = OmegaConf.merge(OmegaConf.structured(_StudyFile), loaded)
        content: Any = OmegaConf.to_object(merged)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{path}: cannot be read ({error}); give the file of a study") from None
    except YAMLError as error:
        raise SettingError(f"{path}: is no YAML ({_place(error)}); correct it") from None
    except (OmegaConfBaseException, TypeError, ValueError) as error:
        raise SettingError(f"{path}: {_describe(error)}") from None
    study = _converted(path, content)
    for fault in find_faults(study):
        raise SettingError(f"{path}: {fault}")
    return study


def only_corpora(study: Study, names: Sequence[str]) -> Study:
    """Return a study with the corpora of these names alone; without names all.

    Raises:
        SettingError: a name is no corpus of the study.
    """
    for name in names:
        if name not in study.corpora:
            raise SettingError(f"--corpus: there is no corpus {name!r}; choose from {', '.join(study.corpora)}")
    kept = {name: one for name, one in study.corpora.items() if name in names or not names}
    return replace(study, corpora=kept)


def _place(error: Exception) -> str:
    """Return what YAML misses and where."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is None:
        return " ".join(str(error).split())
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}"


def _describe(error: Exception) -> str:
    """Return what OmegaConf says of a value, with its key, in one line."""
    key = getattr(error, "full_key", None) or ""
    text = str(error).partition("\n")[0]
    if text.startswith("Missing mandatory value") or "MissingMandatoryValue" in type(error).__name__:
        return f"{key or text.rpartition(' ')[2]}: missing; give a value"
    if match := re.match(r"Key '(.+)' not in", text):
        names = [*_StudyFile.__dataclass_fields__, *_CorpusFile.__dataclass_fields__, *_ArmFile.__dataclass_fields__]
        close = difflib.get_close_matches(match[1], [*names, *_ClaimFile.__dataclass_fields__], n=1)
        return f"{key or match[1]}: there is no such key{f'; did you mean {close[0]}?' if close else '; leave it out'}"
    return f"{key}: {text}; correct it" if key else f"{text}; correct it"


def _converted(path: Path, content: _StudyFile) -> Study:
    default = _seeds(path, "seeds", content.seeds)
    densities = _densities(path, "densities", content.densities)
    return Study(
        path.stem,
        content.question.strip(),
        {
            name: Corpus(
                tuple(one.set),
                one.epochs,
                default if one.seeds is None else _seeds(path, f"corpora.{name}.seeds", one.seeds),
                tuple(content.lengths if one.lengths is None else one.lengths),
                densities if one.densities is None else _densities(path, f"corpora.{name}.densities", one.densities),
                tuple(one.arms),
            )
            for name, one in content.corpora.items()
        },
        {name: Arm(tuple(one.set), one.of, one.dense, one.steps) for name, one in content.arms.items()},
        tuple(
            Claim(one.claim.strip(), one.kind, one.first, one.second, one.margin, tuple(one.densities))
            for one in content.claims
        ),
    )


def _seeds(path: Path, key: str, given: Any) -> tuple[int, ...]:
    seeds = range(given) if isinstance(given, int) and not isinstance(given, bool) else given
    if not isinstance(seeds, (range, list)) or not seeds or any(type(one) is not int or one < 0 for one in seeds):
        raise SettingError(f"{path}: {key}: {given} is neither a number of seeds nor a list of them, such as [0, 1, 2]")
    if len({*seeds}) < len(seeds):
        raise SettingError(f"{path}: {key}: {given} has a seed twice; give each once")
    return tuple(seeds)


def _densities(path: Path, key: str, given: Any) -> tuple[float, ...]:
    """Return densities from a list, or from a number of rounds and the share of the living weights that each prunes."""
    densities = [] if given is None else given
    if isinstance(given, dict) and given.keys() == {"rounds", "amount"}:
        rounds, amount = given["rounds"], given["amount"]
        if type(rounds) is int and 1 <= rounds <= _MOST_ROUNDS and isinstance(amount, (int, float)) and 0 < amount < 1:
            densities = [(1 - amount) ** one for one in range(1, rounds + 1)]
    is_list = isinstance(densities, list) and all(type(one) in (int, float) for one in densities)
    if not is_list or not all(0 < low < high for high, low in pairwise((1.0, *densities))):
        raise SettingError(
            f"{path}: {key}: {given} are no shares that fall from below 1 to above 0; give such as [0.5, 0.25] or "
            "{rounds: 20, amount: 0.2}"
        )
    return tuple(map(float, densities))
