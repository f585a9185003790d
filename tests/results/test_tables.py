"""The tables in plain text say what the records say, in columns."""

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lt_lightning.runs.formatting import percent
from lt_lightning.runs.records import LayerRecord, Record
from lt_lightning.runs.terminal import parameter_table, round_header, round_line, round_row

THIRD = Record(3, 0.488, 2622312, 5121704, 10, 0.12345, 0.2, 0.895, 0.3, 0.8912, 123.44)


def numbers(text: str) -> list[float]:
    return [float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*\.?\d*", text)]


def test_a_row_of_the_table_of_rounds_holds_its_values() -> None:
    assert numbers(round_row(THIRD)) == [3, 51.2, 2622312, 10, 0.1235, 0.2, 89.5, 0.3, 89.12, 123.4]


losses = st.floats(min_value=0) | st.just(math.nan)
shares = st.floats(0, 1) | st.just(math.nan)


@given(st.integers(0, 999), st.integers(0, 99_999_999), st.lists(losses, min_size=3, max_size=3), shares, shares)
def test_every_row_is_as_wide_as_the_header(round_, alive, losses, valid_acc, test_acc):
    train_loss, valid_loss, test_loss = losses
    record = Record(
        round_, 0.5, alive, 99_999_999, 9999, train_loss, valid_loss, valid_acc, test_loss, test_acc, 9999.9
    )
    assert len(round_row(record)) == 100


def test_a_line_of_the_log_can_be_read_alone() -> None:
    assert round_line(THIRD, 20) == (
        "round 3/20  density 51.20 %  alive 2,622,312  epochs 10  train loss 0.1235  valid loss 0.2000  "
        "valid acc 89.50 %  test loss 0.3000  test acc 89.12 %  123.4 s"
    )


def test_what_was_not_measured_is_a_dash() -> None:
    record = replace(THIRD, valid_loss=math.nan, valid_acc=math.nan)
    assert "valid loss -  valid acc -  " in round_line(record, 20)
    assert "nan" not in round_row(record)


@pytest.mark.parametrize("rounds", range(0, 41, 5))
def test_small_shares_keep_three_digits(rounds: int) -> None:
    density = 0.8**rounds
    assert float(percent(density).removesuffix(" %")) / 100 == pytest.approx(density, rel=5e-3)


LAYERS = [
    LayerRecord(1, "embedding.weight", 4000160, 5000200, (50002, 100)),
    LayerRecord(1, "fc.bias", 3, 4, (4,)),
    LayerRecord(1, "scale", 1, 1, ()),
]


def test_the_table_of_parameters_holds_counts_shares_and_shapes() -> None:
    header, _, *rows, _, totals = parameter_table(LAYERS).split("\n")
    assert header.split() == ["parameter", "alive", "/", "total", "alive", "pruned", "shape"]
    assert [row.split() for row in rows] == [
        ["embedding.weight", "4,000,160", "/", "5,000,200", "80.00", "%", "1,000,040", "50002x100"],
        ["fc.bias", "3", "/", "4", "75.00", "%", "1", "4"],
        ["scale", "1", "/", "1", "100.00", "%", "0", "scalar"],
    ]
    alive, total = 4000160 + 3 + 1, 5000200 + 4 + 1
    assert numbers(totals) == [alive, total, total - alive, 20.0, 1.25]


def test_the_table_of_parameters_is_aligned() -> None:
    header, rule, *rows, _, _ = parameter_table(LAYERS).split("\n")
    assert len({row.index("/") for row in rows}) == 1
    assert len({row.index("%") for row in rows}) == 1
    assert all(row[header.index("shape") - 1] == " " != row[header.index("shape")] for row in rows)
    assert max(map(len, [header, *rows])) == len(rule)


def test_nothing_alive_has_no_compression_rate() -> None:
    assert parameter_table([LayerRecord(9, "fc.bias", 0, 4, (4,))]).endswith(
        "alive 0 of 4, pruned 4 (100.00 %), compression -"
    )


def test_tables_are_printable_everywhere() -> None:
    for text in (round_header(), round_row(THIRD), round_line(THIRD, 20), parameter_table(LAYERS)):
        assert text.isascii()


@pytest.mark.parametrize("width", [60, 70, 80, 100])
def test_the_table_of_parameters_fits_and_keeps_its_numbers_whole(width: int) -> None:
    long = LayerRecord(1, "encoder.lstm.weight_hh_l0_reverse", 400_016_000, 500_020_000, (500_020, 1000))
    lines = parameter_table([*LAYERS, long], width).split("\n")
    assert max(map(len, lines)) <= width
    assert any("400,016,000 / 500,020,000" in line and "80.00 %" in line for line in lines)
    assert any("hh_l0_reverse" in line for line in lines)
    assert {404016164.0, 505020205.0} <= set(numbers(" ".join(lines[-3:])))
    assert ("shape" in lines[0]) == (width >= 100)


def test_many_parameters_are_shown_as_blocks_that_add_up_and_layers_csv_is_named():
    names = [
        f"encoder.layer.{block}.{part}" for block in range(12) for part in ("query", "key", "value", "out", "norm")
    ]
    rows = [LayerRecord(1, name, place, 100, (10, 10)) for place, name in enumerate([*names, "head.weight"])]
    lines = parameter_table(rows).split("\n")
    shown = [line.split() for line in lines[2:15]]
    assert [line[0] for line in shown] == [*(f"encoder.layer.{block}.*" for block in range(12)), "head.weight"]
    assert [int(line[1]) for line in shown[:2]] == [0 + 1 + 2 + 3 + 4, 5 + 6 + 7 + 8 + 9]
    assert shown[0][-1] == "490"  # no shape behind what is pruned
    assert shown[12][-1] == "10x10"
    assert lines[-2].startswith("alive 1,830 of 6,100")
    assert lines[-1] == "61 parameters in 13 rows; layers.csv has each."
    assert len(parameter_table(rows[:48]).split("\n")) == 2 + 48 + 2
