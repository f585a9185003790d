"""The record of a round: every byte of it counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from lt_lightning.errors import SettingError
from lt_lightning.runs.records import ConfusionRecord, EpochRecord, LayerRecord, Record
from lt_lightning.runs.rounds import PlayedRound, read_round, write_round


def test_a_record_is_read_as_it_was_written_and_no_other_way(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    played = PlayedRound(
        results=(Record(3, 0.5, 6, 12, 1, 0.7, 0.6, 0.8, 0.65, 0.75, 1.5),),
        layers=(LayerRecord(3, "fc.weight", 6, 12, (4, 3)),),
        epochs=(EpochRecord(3, 1, 0.7, 0.6, 0.8),),
        confusion=(ConfusionRecord(3, 0, 1, 9),),
        examples=(),
        ticket="0" * 64,
        rewind=None,
    )
    write_round(tmp_path, played)
    path = tmp_path / "state/round_03.json"
    whole = path.read_bytes()
    assert read_round(path, 3) == played
    for place in range(len(whole)):
        for bit in (1, 8):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
            with pytest.raises(SettingError, match=r"round_03\.json: cut off or changed since it was written"):
                read_round(path, 3)
    path.write_bytes(whole)
    with pytest.raises(SettingError, match="cut off or changed"):
        read_round(path, 2)
