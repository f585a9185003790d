"""The record of a round: every byte of it counts, and each mask lies inside the one of the round before."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch

from lt_lightning.errors import SettingError
from lt_lightning.lottery import Mask
from lt_lightning.runs.masks import DENSE_VERSION, FORMAT, check_inside, read_masks
from lt_lightning.runs.records import ConfusionRecord, EpochRecord, LayerRecord, Record
from lt_lightning.runs.round_ticket import RoundTicket
from lt_lightning.runs.rounds import PlayedRound, find_standing, read_round, ticket_path, write_round, write_tables
from lt_lightning.storage.sealed import read_seal, write_sealed


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


def save(path: Path, mask: torch.Tensor, **others: torch.Tensor) -> None:
    masks = {"w": mask, **others}
    RoundTicket({name: one.float() for name, one in masks.items()}, Mask(masks), {}, "{}").save(path)


def test_masks_are_read_as_they_were_written(tmp_path: Path) -> None:
    mask = torch.tensor([[True, False, True], [False, False, True]])
    save(tmp_path / "ticket", mask, b=torch.tensor(True), none=torch.zeros(0, dtype=torch.bool))
    found = read_masks(tmp_path / "ticket")
    assert (found.seal, found.base) == (read_seal(tmp_path / "ticket"), None)
    assert found.masks == {"w": bytes([1, 0, 1, 0, 0, 1]), "b": b"\1", "none": b""}


def test_masks_of_tickets_of_the_version_before_are_read_and_compared(tmp_path: Path) -> None:
    mask = torch.tensor([[True, False, True], [False, False, True]])
    content = {"format": FORMAT, "version": DENSE_VERSION, "about": {}, "tokenizer": "{}"}
    write_sealed(tmp_path / "before", {"w": mask.float(), "mask/w": mask}, content)
    save(tmp_path / "now", mask & torch.tensor([True, True, False]))
    masks = [read_masks(tmp_path / name).masks for name in ("before", "now")]
    assert masks == [{"w": bytes([1, 0, 1, 0, 0, 1])}, {"w": bytes([1, 0, 0, 0, 0, 0])}]
    check_inside(tmp_path / "now", masks[1], masks[0])
    with pytest.raises(SettingError, match="is not inside"):
        check_inside(tmp_path / "now", masks[0], masks[1])


def test_inside_is_what_torch_calls_a_subset(tmp_path: Path) -> None:
    for bits in itertools.product([0, 1], repeat=6):
        now, before = bits[:3], bits[3:]
        inside = all(here <= there for here, there in zip(now, before, strict=True))
        try:
            check_inside(Path("file"), {"w": bytes(now)}, {"w": bytes(before)})
        except SettingError as error:
            assert not inside
            assert str(error).startswith("file: its mask of 'w' is not inside that of the round before; ")  # noqa: PT017
        else:
            assert inside


@pytest.mark.parametrize(("now", "before"), [({"a": b"\1"}, {}), ({}, {"a": b"\1"}), ({"a": b"\0"}, {"a": b"\1\1"})])
def test_masks_of_other_parameters_or_sizes_are_refused(now: dict[str, bytes], before: dict[str, bytes]) -> None:
    with pytest.raises(SettingError, match="mask of 'a'"):
        check_inside(Path("file"), now, before)


def played(round: int, **seals: Any) -> PlayedRound:
    record = Record(round, 0.1, 9, 10, 1, *[0.5] * 6)
    return PlayedRound((record,), (LayerRecord(round, "w", 9, 10, (10,)),), (), (), (), **seals)


def test_a_round_whose_mask_grows_is_named_and_the_run_goes_on_after_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    rounds = []
    for round, mask in enumerate([[1, 1, 1], [1, 1, 0], [0, 1, 1], [0, 1, 0]]):
        save(ticket_path(tmp_path, round), torch.tensor(mask, dtype=torch.bool))
        rounds.append(played(round, ticket=read_seal(ticket_path(tmp_path, round)), rewind=None))
        write_round(tmp_path, rounds[-1])
    write_tables(tmp_path, rounds)
    standing = find_standing(tmp_path)
    assert [one.record.round for one in standing.rounds] == [0, 1]
    [damage] = standing.damages
    assert damage == f"{ticket_path(tmp_path, 2)}: its mask of 'w' is not inside that of the round before"
