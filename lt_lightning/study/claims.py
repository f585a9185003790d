"""Judge the claims of a study: paired tests over seeds, Holm's correction over all of them, and verdicts."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pandas import DataFrame, Series

from lt_lightning.report.statistics import Estimate, estimate
from lt_lightning.report.testing import LEVEL, equivalence_margin, holm, paired_p
from lt_lightning.runs.densities import densities_alike
from lt_lightning.runs.objective import area
from lt_lightning.study.description import FULL, Claim, Study
from lt_lightning.study.rounds import cells, select

AREA = "area"
"""What is compared where a claim names no densities: the area under accuracy over log density."""


@dataclass(frozen=True)
class Judgement:
    """A claim on one corpus, at one length, at one density or over all.

    Attributes:
        claim: the claim.
        corpus: the name of the corpus.
        length: the multiple of the corpus' epochs.
        at: the density, or `area`.
        difference: the first arm's test value minus the second's, paired by seed, in points.
        equivalent_within: the smallest margin within which the difference is equivalent to 0, in points.
        p: of the two-sided paired t test that the mean difference is 0, or −margin for `as_good`.
        p_holm: `p` after Holm's correction over all judgements of the study.
        collapsed: how many tickets of the first and of the second arm have collapsed.
        seeds_needed: the seeds that a difference of `margin` needs for 80 % power, from the spread of these.
        verdict: `supported`, `refuted` or `undecided`.
    """

    claim: Claim
    corpus: str
    length: int
    at: str
    difference: Estimate
    equivalent_within: float
    p: float
    collapsed: tuple[int, int]
    seeds_needed: int | None
    p_holm: float = math.nan
    verdict: str = "undecided"

    @property
    def place(self) -> str:
        """The density as it is shown, or `area`."""
        return AREA if self.at == AREA else f"{100 * float(self.at):g} %"


def judge(study: Study, rounds: DataFrame) -> list[Judgement]:
    """Return the judgements of all claims that at least two seeds can be compared for.

    Args:
        study: the study.
        rounds: its table; see `rounds`.
    """
    found = [
        one
        for claim in study.claims
        for (corpus, length), of_cell in cells(rounds, "corpus", "length")
        for one in _judgements(study, claim, corpus, length, of_cell)
    ]
    corrected = [
        replace(one, p_holm=math.nan if p is None else p)
        for one, p in zip(found, holm([one.p for one in found]), strict=True)
    ]
    return [replace(one, verdict=_verdict(one)) for one in corrected]


def _judgements(study: Study, claim: Claim, corpus: str, length: int, cell: DataFrame) -> Iterator[Judgement]:
    first = select(cell, arm=claim.first)
    second = select(first, round=0) if claim.second == FULL else select(cell, arm=claim.second)
    if not claim.densities:
        first, second = shared_densities(first, second)
        yield from _judgement(claim, corpus, length, AREA, (areas(first), areas(second)), (first, second))
        return
    for density in claim.densities:
        sides = tuple(
            rows if arm == FULL or study.arms[arm].dense else _near(rows, density)
            for arm, rows in ((claim.first, first), (claim.second, second))
        )
        values = tuple(rows.set_index("seed")["test"] for rows in sides)
        yield from _judgement(claim, corpus, length, f"{density:g}", values, sides)


def _near(rows: DataFrame, density: float) -> DataFrame:
    """Return the pruned rounds that leave about this share of the weights."""
    is_near = rows["density"].map(lambda one: densities_alike(one, density))
    return DataFrame(rows[(rows["round"] > 0) & is_near])


def shared_densities(first: DataFrame, second: DataFrame) -> tuple[DataFrame, DataFrame]:
    """Return the rounds of two arms at the densities that both have in all of their seeds."""

    def whole(rows: DataFrame) -> Series:
        seeds = rows["seed"].nunique()
        counts = rows.groupby("round")["density"].agg(["mean", "count"])
        return Series(counts[counts["count"] == seeds]["mean"])

    ours, theirs = whole(first), whole(second)

    def alike(rows: DataFrame, own: Series, other: Series) -> DataFrame:
        kept = [at for at, density in own.items() if any(densities_alike(density, one) for one in other)]
        return DataFrame(rows[rows["round"].isin(kept)])

    return alike(first, ours, theirs), alike(second, theirs, ours)


def _judgement(
    claim: Claim, corpus: str, length: int, at: str, values: Sequence[Series], sides: Sequence[DataFrame]
) -> Iterator[Judgement]:
    """Yield the judgement on the values of two arms by seed, and on the rounds that they are of, if it has a test."""
    differences = (100 * (values[0] - values[1])).dropna().tolist()
    p, within = paired_p([one - _reference(claim) for one in differences]), equivalence_margin(differences)
    if p is None or within is None:
        return
    collapsed = [int(rows["collapsed"].fillna(False).sum()) for rows in sides]
    needed = seeds_needed(statistics.stdev(differences), claim.margin)
    yield Judgement(
        claim, corpus, length, at, estimate(differences), within, p, (collapsed[0], collapsed[1]), needed
    )  # fmt: skip


def _reference(claim: Claim) -> float:
    """Return the mean difference, in points, above which the claim holds."""
    return 0.0 if claim.kind == "better" else -claim.margin


def areas(rows: DataFrame) -> Series:
    """Return the mean test value over log density of an arm's rounds, by seed; see `runs.objective.area`."""
    by_seed = {
        seed: area(one["density"].tolist(), one["test"].tolist())
        for (seed,), one in cells(rows, "seed")
        if len(one) > 1
    }
    return Series(by_seed, dtype=float)


def seeds_needed(spread: float, effect: float, most: int = 999) -> int | None:
    """Return the number of seeds with which a paired t test at .05 finds a mean difference with 80 % power.

    Args:
        spread: the standard deviation of the differences.
        effect: the mean difference to find, in the same unit.
        most: the largest number to return.

    Returns:
        The number; None if there is no effect to find, or more seeds than `most` are needed.
    """
    from scipy.stats import nct, t

    if not (effect > 0 and 0 < spread < math.inf):
        return None
    for n in range(2, most + 1):
        if nct.sf(t.ppf(1 - LEVEL / 2, n - 1), n - 1, effect / spread * math.sqrt(n)) >= 0.8:
            return n
    return None


def _verdict(one: Judgement) -> str:
    """Return the verdict on a claim from its corrected test.

    `better` is also refuted if the difference, whatever its sign, is too small to matter: its 90 % interval lies within
    the margin (two one-sided tests).
    """
    if one.p_holm < LEVEL:
        return "supported" if one.difference.mean > _reference(one.claim) else "refuted"
    is_small = one.equivalent_within < one.claim.margin
    return "refuted" if one.claim.kind == "better" and is_small else "undecided"
