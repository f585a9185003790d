"""Check the values of a study whose types are right."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping

from lt_lightning.study.description import FULL, KINDS, Arm, Claim, Corpus, Study

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def find_faults(study: Study) -> Iterator[str]:
    """Yield what is wrong with a study whose types are right."""
    named = [("corpora", study.corpora), ("arms", study.arms)]
    for key, names in named:
        if not names:
            yield f"{key}: there are none; give at least one"
        for name in names:
            if not _NAME.fullmatch(name) or name == FULL:
                yield f"{key}.{name}: a folder has this name; take letters, digits, ., _ and -, and not {FULL!r}"
    for name, corpus in study.corpora.items():
        if not corpus.densities and not all(arm.dense for arm in study.arms.values()):
            yield f"corpora.{name}.densities: missing; give the study's densities, or the corpus' own"
        for key, values in (("epochs", (corpus.epochs,)), ("lengths", corpus.lengths)):
            if not values or min(values) < 1 or len({*values}) < len(values):
                yield f"corpora.{name}.{key}: {list(values)} must be whole numbers >= 1, each once"
        yield from (f"corpora.{name}.arms: {fault}" for fault in _chosen_faults(study, corpus))
    for name, arm in study.arms.items():
        yield from (f"arms.{name}.{fault}" for fault in _arm_faults(study, arm))
    for place, claim in enumerate(study.claims):
        yield from (f"claims[{place}].{fault}" for fault in _claim_faults(study, claim))


def _chosen_faults(study: Study, corpus: Corpus) -> Iterator[str]:
    for arm in corpus.arms:
        if arm not in study.arms:
            yield f"there is no arm {arm!r}; choose from {', '.join(study.arms)}"
        elif (trunk := study.arms[arm].of) not in (None, *corpus.arms):
            yield f"{arm} retrains the tickets of {trunk}; add {trunk}"


def _arm_faults(study: Study, arm: Arm) -> Iterator[str]:
    if arm.dense and arm.of is not None:
        yield "dense: an arm that retrains tickets is not dense; give either of the two"
    if arm.steps < 1 or (arm.steps > 1 and (arm.dense or arm.of is not None)):
        yield f"steps: must be a number >= 1 for an arm that prunes, got {arm.steps}; leave it out for others"
    if arm.of is None:
        return
    if arm.of not in study.arms:
        yield f"of: there is no arm {arm.of!r}; choose from {', '.join(study.arms)}"
    elif study.arms[arm.of].of is not None or study.arms[arm.of].dense:
        yield f"of: {arm.of} has no tickets of its own; choose an arm that prunes"


def _claim_faults(study: Study, claim: Claim) -> Iterator[str]:
    if claim.kind not in KINDS:
        yield f"kind: {claim.kind!r} is none of {', '.join(KINDS)}"
    for key, name in (("first", claim.first), ("second", claim.second)):
        if name not in study.arms and not (key == "second" and name == FULL):
            yield f"{key}: there is no arm {name!r}; choose from {_listed(study.arms, key)}"
    if claim.second == FULL and claim.first in study.arms and study.arms[claim.first].dense:
        yield f"second: the whole network of {claim.first} is that arm itself; give an arm with tickets"
    if claim.first == claim.second:
        yield f"second: is {claim.second!r} like first; give another arm"
    if not (claim.margin >= 0 and math.isfinite(claim.margin)):
        yield f"margin: must be >= 0 points, got {claim.margin:g}"
    for one in claim.densities:
        if all(corpus.round_at(one) is None for corpus in study.corpora.values()):
            yield f"densities: no corpus has a round that leaves {100 * one:g} %; choose among those of the study"
    if claim.second == FULL and not claim.densities:
        yield f"densities: missing: the whole network has one density; choose some of the study's for {claim.first}"
    is_dense = any(name in study.arms and study.arms[name].dense for name in (claim.first, claim.second))
    if is_dense and not claim.densities:
        yield "densities: missing: a dense arm has no curve over densities; choose some for the other arm"


def _listed(arms: Mapping[str, Arm], key: str) -> str:
    return ", ".join([*arms, *([FULL] if key == "second" else [])])
