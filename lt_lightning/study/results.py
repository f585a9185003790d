"""Write the results of a study: its tables, its figures, its tables in Markdown, and the lines for the screen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pandas import DataFrame

from lt_lightning.report.statistics import NO_VALUES, Estimate, columns_of, estimate
from lt_lightning.storage.atomic import write_whole, writing_to
from lt_lightning.study.claims import AREA, Judgement, areas, judge
from lt_lightning.study.description import Study
from lt_lightning.study.rounds import COLUMNS, cells, select

_MOST_SHOWN = 6
"""The most densities of a table of a page, beside those that claims name."""


def write_results(study: Study, rounds: DataFrame, folder: Path) -> list[str]:
    """Write `rounds.csv`, `arms.csv`, `areas.csv`, `claims.csv`, `tables.md` and figures; return the lines to print.

    Args:
        study: the study.
        rounds: the table of its rounds.
        folder: where the files go; nothing is written for a table without rows.
    """
    if rounds.empty:
        return ["no run of the study has finished yet"]
    from lt_lightning.study.figures import draw_figures

    judgements = judge(study, rounds)
    arms = arms_table(study, rounds)
    tables = {
        "rounds": rounds[COLUMNS], "arms": arms, "areas": areas_table(study, rounds), "claims": claims_table(judgements)
    }  # fmt: skip
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            write_whole(folder / f"{name}.csv", table.to_csv(index=False, lineterminator="\n"))
        write_whole(folder / "tables.md", "\n".join(_markdown(study, arms, tables["areas"], judgements)) + "\n")
        draw_figures(study, arms, judgements, folder)
    return [*_dense_lines(study, arms), *_verdict_lines(study, judgements), f"tables and figures: {folder}"]


def arms_table(study: Study, rounds: DataFrame) -> DataFrame:
    """Return a row per corpus, length, arm and density: means over seeds, in points, and rates.

    `density` is the study's; `full` for the whole network. `winners` counts the tickets that are on the validation part
    as good as the full network; `instability` is in points.
    """
    rows: list[dict[str, Any]] = []
    for (corpus, length, arm, round_), cell in cells(rounds, "corpus", "length", "arm", "round"):
        test = estimate(100 * cell["test"])
        against = estimate(100 * (cell["test"] - cell["full"]))
        density = 1.0 if round_ == 0 else study.densities(corpus, arm)[round_ - 1]
        rows.append(
            {
                "corpus": corpus, "length": length, "arm": arm, "round": round_, "density": density,
                "alive": cell["density"].mean(), "weights": cell["weights"].mean(),
                "epochs": cell["epochs"].mean(), "steps": cell["steps"].mean(), "n": len(cell),
                "valid": 100 * cell["valid"].mean(),
                **columns_of("test", test), "median": 100 * cell["test"].median(), **columns_of("minus_full", against),
                "collapsed": math.nan if cell["collapsed"].isna().any() else int(cell["collapsed"].sum()),
                "winners": int((cell["valid"] >= cell["full_valid"]).sum()) if round_ else 0,
                "instability": 100 * cell["instability"].mean(),
            }
        )  # fmt: skip
    return DataFrame(rows)


def areas_table(study: Study, rounds: DataFrame) -> DataFrame:
    """Return a row per corpus, length and arm with tickets: the mean test accuracy over log density, in points."""
    rows = []
    for (corpus, length), cell in cells(rounds, "corpus", "length"):
        for arm in [name for name in cell["arm"].unique() if not study.arms[name].dense]:
            values = estimate(100 * areas(select(cell, arm=arm)))
            rows.append({"corpus": corpus, "length": length, "arm": arm, "n": values.n, **columns_of(AREA, values)})
    return DataFrame(rows, columns=["corpus", "length", "arm", "n", *columns_of(AREA, NO_VALUES)])


def claims_table(judgements: Sequence[Judgement]) -> DataFrame:
    """Return a row per judgement; differences in points."""
    rows = [
        {
            "claim": one.claim.text, "kind": one.claim.kind, "first": one.claim.first, "second": one.claim.second,
            "margin": one.claim.margin, "corpus": one.corpus, "length": one.length, "at": one.at,
            "n": one.difference.n, **columns_of("difference", one.difference),
            "equivalent_within": one.equivalent_within, "p": one.p, "p_holm": one.p_holm,
            "first_collapsed": one.collapsed[0], "second_collapsed": one.collapsed[1],
            "seeds_needed": one.seeds_needed, "verdict": one.verdict,
        }
        for one in judgements
    ]  # fmt: skip
    return DataFrame(rows, columns=None if rows else ["claim", "corpus", "length", "at", "verdict"])


def _dense_lines(study: Study, arms: DataFrame) -> list[str]:
    """Return a line per corpus and length about the best of several dense arms on the validation part."""
    dense = arms[arms["arm"].map(lambda name: study.arms[name].dense)]
    lines = []
    for (corpus, length), cell in cells(DataFrame(dense), "corpus", "length"):
        if len(cell) > 1 and cell["valid"].notna().all():
            best = cell.loc[cell["valid"].idxmax()]
            lines.append(f"{corpus} x{length}: the best on the validation part is {best['arm']}, {best['valid']:.2f} %")
    return lines


def _verdict_lines(study: Study, judgements: Sequence[Judgement]) -> list[str]:
    lines = []
    for claim in study.claims:
        found = [f"  {_describe(one)}" for one in judgements if one.claim == claim]
        lines += [
            claim.text,
            *(found or ["  not judged: needs two seeds of both arms, whose differences are not all equal"]),
        ]
    return lines


def _describe(one: Judgement) -> str:
    collapsed = f"; collapsed: {one.collapsed[0]} and {one.collapsed[1]}" if any(one.collapsed) else ""
    return (
        f"{one.corpus} x{one.length} {one.place}: {one.verdict}: {_points(one.difference)} points, "
        f"Holm p {one.p_holm:.2g}, n = {one.difference.n}{collapsed}"
    )


def _points(one: Estimate) -> str:
    if one.low is None or one.high is None:
        return f"{one.mean:+.2f}"
    return f"{one.mean:+.2f} ({one.low:.2f} … {one.high:.2f})".replace("-", "−")


def _markdown(study: Study, arms: DataFrame, area: DataFrame, judgements: Sequence[Judgement]) -> list[str]:
    """Return the tables in Markdown: of each corpus and length the arms by density, then the claims."""
    lines = []
    for (corpus, length), cell in cells(arms, "corpus", "length"):
        epochs = study.corpora[corpus].epochs * length
        densities = [1.0, *_shown(study, corpus)]
        lines += [f"### {corpus}, {epochs} epoch{'s' * (epochs > 1)} a round", ""]
        lines.append("| weights alive | " + " | ".join(f"{100 * one:g} %" for one in densities) + " | area |")
        lines.append("|---" * (len(densities) + 2) + "|")
        for name in cell["arm"].unique():
            of_arm = select(cell, arm=name).set_index("density")
            values = [_cell(of_arm.loc[one]) if one in of_arm.index else "" for one in densities]
            found = select(area, corpus=corpus, length=length, arm=name)
            last = "" if found.empty else _mean(found.iloc[0], AREA)
            lines.append(f"| {name} (n = {int(of_arm['n'].max())}) | {' | '.join(values)} | {last} |")
        for name, of_arm in cells(DataFrame(cell[cell["instability"].notna()]), "arm"):
            found = of_arm.set_index("density")["instability"]
            values = [f"{found[one]:.2f}" if one in found.index else "" for one in densities]
            lines.append(f"| instability of {name[0]} | {' | '.join(values)} | |")
        lines.append("")
    if judgements:
        lines += [
            "| claim | corpus, epochs | at | difference | Holm p | n | verdict |",
            "|---|---|---|---|---|---|---|",
        ]
        for one in judgements:
            epochs = study.corpora[one.corpus].epochs * one.length
            lines.append(
                f"| {one.claim.text} | {one.corpus}, {epochs} | {one.place} | {_points(one.difference)} | "
                f"{one.p_holm:.2g} | {one.difference.n} | {one.verdict} |"
            )
    return lines


def _shown(study: Study, corpus: str) -> list[float]:
    """Return the densities that a table of a page shows: of many rounds every few, and those of the claims."""
    densities = study.corpora[corpus].densities
    rounds = range(len(densities) - 1, -1, -math.ceil(len(densities) / _MOST_SHOWN))
    claimed = [study.corpora[corpus].round_at(one) for claim in study.claims for one in claim.densities]
    return [densities[one] for one in sorted({*rounds, *(one - 1 for one in claimed if one is not None)})]


def _cell(row: Any) -> str:
    """Return a cell of a table of arms; where tickets collapsed, their rate and the median."""
    if row["collapsed"] > 0:
        return f"{int(row['collapsed'])} of {int(row['n'])} collapsed, median {row['median']:.2f}"
    return _mean(row, "test")


def _mean(row: Any, name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    if low is None or math.isnan(low):
        return f"{row[name]:.2f}"
    return f"{row[name]:.2f} ± {(high - low) / 2:.2f}"
