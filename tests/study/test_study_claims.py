"""The verdicts of a study against independent statistics, on tables whose answer is known."""

import math

import numpy as np
import pandas
import pytest
from scipy import stats

from lt_lightning.errors import SettingError
from lt_lightning.study.claims import areas, judge, seeds_needed
from lt_lightning.study.description import Arm, Claim, Corpus, Study
from lt_lightning.study.results import _shown, arms_table, write_results
from lt_lightning.study.rounds import COLUMNS, read_rounds, with_collapse

DENSITIES = (0.5, 0.25)
SEEDS = 6
CLAIMS = (
    Claim("init beats random", "better", "init", "random"),
    Claim("init beats random at a density", "better", "init", "random", densities=DENSITIES),
    Claim("init is as good as the whole network", "as_good", "init", "full", densities=(0.5,)),
    Claim("random is better", "better", "random", "init"),
    Claim("twins differ", "better", "twin", "init"),
)


def study() -> Study:
    corpus = Corpus((), 2, tuple(range(SEEDS)), (1,), DENSITIES)
    arms = {name: Arm(()) for name in ("init", "random", "twin")}
    return Study("made", "?", {"toy": corpus}, arms, CLAIMS)


def table(gap: float = 0.02) -> pandas.DataFrame:
    """Return rounds in which `random` is worse than `init` by about `gap`, and `twin` differs by chance alone."""
    rng, rows = np.random.default_rng(0), []
    for seed in range(SEEDS):
        full = 0.9 + 0.002 * rng.standard_normal()
        for arm, loss in (("init", 0.0), ("random", gap), ("twin", 0.0)):
            for round_, density in enumerate((1.0, *DENSITIES)):
                test = full - (loss + 0.001 * rng.standard_normal() if round_ else 0)
                rows.append(
                    ["toy", 1, arm, seed, round_, density, int(1000 * density), 2, 20, test, test, 0.25, 1.0, math.nan]
                )
    return with_collapse(pandas.DataFrame(rows, columns=COLUMNS))


def values(rounds: pandas.DataFrame, arm: str, round_: int) -> np.ndarray:
    return rounds[(rounds["arm"] == arm) & (rounds["round"] == round_)].sort_values(by="seed")["test"].to_numpy()


def test_p_values_are_those_of_scipys_paired_test_and_holms_definition():
    rounds = table()
    found = judge(study(), rounds)
    at_half = found[1]
    expected = stats.ttest_rel(values(rounds, "init", 1), values(rounds, "random", 1))
    assert (at_half.at, at_half.p) == ("0.5", pytest.approx(expected.pvalue, rel=1e-9))
    low, high = expected.confidence_interval()
    assert (at_half.difference.low, at_half.difference.high) == pytest.approx((100 * low, 100 * high))
    noninferior = stats.ttest_1samp(100 * (values(rounds, "init", 1) - values(rounds, "init", 0)), -0.5)
    assert found[3].p == pytest.approx(noninferior.pvalue, rel=1e-9)
    ps = sorted(one.p for one in found)
    for one in found:
        rank = ps.index(one.p)
        assert one.p_holm == pytest.approx(min(1, max((len(ps) - i) * ps[i] for i in range(rank + 1))))


def test_a_claim_is_supported_refuted_or_undecided_by_its_corrected_test():
    verdicts = [one.verdict for one in judge(study(), table())]
    # The twins' difference lies within half a point: what there is of it does not matter.
    assert verdicts == ["supported", "supported", "supported", "supported", "refuted", "refuted"]
    wide = table(gap=0.0)
    wide.loc[wide["arm"] == "random", "test"] += 0.05 * np.random.default_rng(1).standard_normal(3 * SEEDS)
    assert judge(study(), wide)[0].verdict == "undecided"


def test_areas_are_trapezoids_over_log_density():
    rounds = table()
    found = areas(rounds[rounds["arm"] == "init"])
    for seed in range(SEEDS):
        of_seed = rounds[(rounds["arm"] == "init") & (rounds["seed"] == seed)]
        logs = np.log(of_seed["density"].to_numpy())
        expected = np.trapezoid(of_seed["test"].to_numpy(), -logs) / (logs[0] - logs[-1])
        assert found[seed] == pytest.approx(expected)


def test_collapse_is_counted_by_seed_and_shown_as_a_rate():
    rounds = table()
    at = rounds.index[(rounds["arm"] == "random") & (rounds["round"] == 2) & (rounds["seed"] < 2)]
    rounds.loc[at, "test"] = 0.3
    rounds = with_collapse(rounds[COLUMNS])
    arms = arms_table(study(), rounds).set_index(["arm", "round"])
    assert arms.loc[("random", 2), "collapsed"] == 2
    assert arms["collapsed"].sum() == 2
    assert arms.loc[("random", 2), "median"] == pytest.approx(100 * np.median(values(rounds, "random", 2)))
    assert judge(study(), rounds)[2].collapsed == (0, 2)


@pytest.mark.parametrize(("spread", "effect"), [(0.5, 0.3), (1.0, 1.0), (0.2, 0.5)])
def test_the_seeds_needed_have_eighty_per_cent_power_and_one_less_has_not(spread, effect):
    def power(n: int) -> float:
        rng = np.random.default_rng(0)
        drawn = rng.normal(effect, spread, (40_000, n))
        return float((stats.ttest_1samp(drawn, 0, axis=1).pvalue < 0.05).mean())

    n = seeds_needed(spread, effect)
    assert n is not None
    assert power(n) > 0.79
    assert power(n - 1) < 0.81 if n > 2 else True
    assert seeds_needed(math.nan, effect) is None


def test_what_is_written_can_be_read_and_judged_again(tmp_path):
    lines = write_results(study(), table(), tmp_path)
    again = write_results(study(), read_rounds(tmp_path / "rounds.csv", study()), tmp_path / "again")
    assert lines[:-1] == again[:-1]
    for name in ("rounds.csv", "arms.csv", "areas.csv", "claims.csv", "tables.md", "figures/accuracy_toy.svg"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    claims = pandas.read_csv(tmp_path / "claims.csv")
    assert claims["verdict"].tolist() == [one.verdict for one in judge(study(), table())]
    assert "| init (n = 6) | 90.0" in (tmp_path / "tables.md").read_text()


def test_the_instability_of_some_runs_is_a_row_of_means(tmp_path):
    rounds = table()
    rounds.loc[(rounds["arm"] == "init") & (rounds["seed"] < 2) & (rounds["round"] < 2), "instability"] = [
        0.0,
        0.03,
    ] * 2
    write_results(study(), rounds, tmp_path)
    assert "| instability of init | 0.00 | 3.00 |  | |" in (tmp_path / "tables.md").read_text()
    written = read_rounds(tmp_path / "rounds.csv", study())["instability"]
    assert (written.notna().sum(), written.max()) == (4, 0.03)


def test_a_table_of_many_rounds_shows_some_and_those_of_claims():
    many = Corpus((), 1, (0,), (1,), tuple(0.8**round_ for round_ in range(1, 21)))
    claims = (Claim("?", "as_good", "init", "full", densities=(0.107, 0.8)),)
    shown = _shown(Study("made", "?", {"toy": many}, {"init": Arm(())}, claims), "toy")
    assert [round(math.log(one, 0.8)) for one in shown] == [1, 4, 8, 10, 12, 16, 20]


def test_a_study_of_dense_arms_alone_has_no_areas(tmp_path):
    dense = Study("made", "?", {"toy": study().corpora["toy"]}, {"init": Arm((), dense=True)}, ())
    rounds = table()
    rounds = rounds[(rounds["arm"] == "init") & (rounds["round"] == 0)]
    assert write_results(dense, rounds, tmp_path) == [f"tables and figures: {tmp_path}"]
    assert pandas.read_csv(tmp_path / "areas.csv").empty
    assert "| init (n = 6) | 90.0" in (tmp_path / "tables.md").read_text()


def test_of_several_dense_arms_the_best_on_the_validation_part_is_named(tmp_path):
    arms = {"init": Arm((), dense=True), "random": Arm((), dense=True)}
    rounds = table()
    rounds = rounds[(rounds["arm"] != "twin") & (rounds["round"] == 0)].copy()
    rounds.loc[rounds["arm"] == "random", "valid"] = 0.95
    said = write_results(Study("made", "?", study().corpora, arms, ()), rounds, tmp_path)
    assert said[0] == "toy x1: the best on the validation part is random, 95.00 %"


def test_arms_are_compared_at_the_densities_that_both_have(tmp_path):
    rounds = table()
    other = (rounds["arm"] == "random") & (rounds["round"] == 2)
    rounds.loc[other, "density"] = 0.3
    found = judge(study(), rounds)
    assert [one.at for one in found if one.claim == CLAIMS[1]] == ["0.5"]
    first, second = (rounds[(rounds["arm"] == arm) & (rounds["round"] < 2)] for arm in ("init", "random"))
    assert found[0].difference.mean == pytest.approx(100 * (areas(first) - areas(second)).mean())
    # A round that one seed lacks is left out of the areas of all.
    gone = table().drop(index=rounds.index[(rounds["arm"] == "init") & (rounds["seed"] == 3) & (rounds["round"] == 2)])
    assert judge(study(), gone)[0].difference == found[0].difference


def test_what_does_not_belong_to_the_study_is_refused(tmp_path):
    write_results(study(), table(), tmp_path)
    text = (tmp_path / "rounds.csv").read_text()
    for old, new, fault in (
        ("toy,", "agnews,", "has the corpus agnews, which the study lacks; give the study's own table"),
        (",twin,", ",brother,", "has the arm brother, which the study lacks; give the study's own table"),
        ("twin,0,2,", "twin,0,1,", "has a round of a run twice; give each once"),
        ("twin,0,2,", "twin,0,3,", "has more rounds of twin on toy than the study; give the study's own table"),
        ("twin,0,2,", "twin,0,two,", "cannot be read (invalid literal for int() with base 10: 'two'); give a "
         "rounds.csv that a study has written"),
        ("chance", "luck", "cannot be read (no column chance); give a rounds.csv that a study has written"),
    ):  # fmt: skip
        assert old in text
        (tmp_path / "other.csv").write_text(text.replace(old, new))
        with pytest.raises(SettingError) as refused:
            read_rounds(tmp_path / "other.csv", study())
        assert str(refused.value) == f"{tmp_path / 'other.csv'}: {fault}"


def test_collapse_is_not_counted_where_chance_is_not_known():
    rounds = table()
    rounds.loc[rounds["arm"] == "random", "chance"] = math.nan
    arms = arms_table(study(), with_collapse(rounds[COLUMNS])).set_index(["arm", "round"])
    assert math.isnan(arms.loc[("random", 2), "collapsed"])
    assert arms.loc[("init", 2), "collapsed"] == 0
