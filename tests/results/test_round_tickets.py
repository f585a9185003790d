"""A ticket comes back as it was saved; what is no ticket, or no longer one, is refused by name."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from lt_lightning.errors import SettingError
from lt_lightning.lottery import Mask
from lt_lightning.results.round_tickets import FORMAT, VERSION, RoundTicket
from lt_lightning.results.sealed_tensors import write_sealed

WEIGHTS = {"fc.weight": torch.tensor([[0.5, 0.0], [0.0, -1.0]]), "fc.bias": torch.tensor(0.25)}
MASK = Mask({"fc.weight": WEIGHTS["fc.weight"] != 0})
TICKET = RoundTicket(WEIGHTS, MASK, {"round": 3, "test_loss": float("inf"), "class_names": ["a", "b"]}, '{"model": {}}')
CONTENT = {"format": FORMAT, "version": VERSION, "about": {}, "tokenizer": "{}"}


def test_a_ticket_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    TICKET.save(tmp_path / "tickets/round_03.safetensors")
    loaded = RoundTicket.load(tmp_path / "tickets/round_03.safetensors")
    assert (loaded.mask, loaded.about, loaded.tokenizer) == (TICKET.mask, TICKET.about, TICKET.tokenizer)
    assert loaded.weights.keys() == WEIGHTS.keys()
    assert all(torch.equal(loaded.weights[name], weight) for name, weight in WEIGHTS.items())


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "other", "version 1"])
def test_a_file_that_is_no_ticket_is_refused_by_name(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "broken.safetensors"
    TICKET.save(path)
    whole = path.read_bytes()
    damaged, reason = {
        "empty": (b"", "not a safetensors file, or cut off"),
        "cut": (whole[:-1], "its checksum does not fit"),
        "flipped": (whole[:-1] + bytes([whole[-1] ^ 1]), "its checksum does not fit"),
        "other": (save({"a": torch.ones(1)}), "no lt-lightning ticket of this version"),
        "version 1": (save({"a": torch.ones(1)}, {"ticket": "{}"}), "no lt-lightning ticket of this version"),
    }[damage]
    path.write_bytes(damaged)
    with pytest.raises(SettingError, match=rf"broken\.safetensors: .*{reason}.*; "):
        RoundTicket.load(path)


class Trap:
    """What, unpickled, makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("how", ["pickle", "torch"])
def test_a_pickle_in_place_of_a_ticket_is_refused_and_never_run(tmp_path: Path, how: str) -> None:
    path, trap = tmp_path / "odd.safetensors", Trap(tmp_path / "sprung")
    if how == "pickle":
        path.write_bytes(pickle.dumps(trap))
    else:
        torch.save({"fc.weight": trap}, path)
    with pytest.raises(SettingError, match=r"odd\.safetensors: "):
        RoundTicket.load(path)
    assert not (tmp_path / "sprung").exists()


def test_a_ticket_holds_no_pickle(tmp_path: Path) -> None:
    TICKET.save(tmp_path / "ticket")
    data = (tmp_path / "ticket").read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    sizes = [tensor.numel() * tensor.element_size() for tensor in [*WEIGHTS.values(), *MASK.values()]]
    # A JSON text, and behind it the numbers, byte for byte: there is no room for anything else.
    assert json.loads(data[8:end])["__metadata__"].keys() == {"lt_lightning"}
    assert len(data) - end == sum(sizes)


@pytest.mark.parametrize("wrong", [{"about": None}, {"about": [1]}, {"tokenizer": {}}, {"tokenizer": None}])
def test_a_ticket_without_its_settings_or_words_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    write_sealed(tmp_path / "odd", WEIGHTS, CONTENT | wrong)
    with pytest.raises(SettingError, match=r"odd: a ticket without its settings or its words; "):
        RoundTicket.load(tmp_path / "odd")


@pytest.mark.parametrize(
    "mask",
    [
        {"mask/fc.weight": torch.ones(2, 2)},
        {"mask/fc.weight": torch.ones(4, dtype=torch.bool)},
        {"mask/fc.other": torch.ones(2, 2, dtype=torch.bool)},
        {"mask/": torch.ones(2, 2, dtype=torch.bool)},
    ],
)
def test_a_mask_that_fits_no_weight_is_refused(tmp_path: Path, mask: dict[str, torch.Tensor]) -> None:
    write_sealed(tmp_path / "odd", WEIGHTS | mask, CONTENT)
    with pytest.raises(SettingError, match=r"odd: a ticket with a mask of '.*' that fits no weight; "):
        RoundTicket.load(tmp_path / "odd")
