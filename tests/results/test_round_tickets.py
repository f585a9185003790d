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
from lt_lightning.runs.masks import FORMAT, VERSION
from lt_lightning.runs.round_ticket import RoundTicket, check_nesting, check_parameters
from lt_lightning.storage.sealed import write_sealed

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
        "other": (save({"a": torch.ones(1)}), "not a lt-lightning ticket of this version"),
        "version 1": (save({"a": torch.ones(1)}, {"ticket": "{}"}), "not a lt-lightning ticket of this version"),
    }[damage]
    path.write_bytes(damaged)
    with pytest.raises(SettingError, match=rf"broken\.safetensors: .*{reason}.*; "):
        RoundTicket.load(path)


class Trap:
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


@pytest.mark.parametrize("mask", [
    {"mask/fc.weight": torch.ones(2, 2)}, {"mask/fc.weight": torch.ones(4, dtype=torch.bool)},
    {"mask/fc.other": torch.ones(2, 2, dtype=torch.bool)}, {"mask/": torch.ones(2, 2, dtype=torch.bool)},
])  # fmt: skip
def test_a_mask_that_fits_no_weight_is_refused(tmp_path: Path, mask: dict[str, torch.Tensor]) -> None:
    write_sealed(tmp_path / "odd", WEIGHTS | mask, CONTENT)
    with pytest.raises(SettingError, match=r"odd: a ticket with a mask of '.*' that fits no weight; "):
        RoundTicket.load(tmp_path / "odd")


@pytest.mark.parametrize("value", [1e-30, -1.0, float("nan"), float("inf")])
def test_a_pruned_entry_that_is_not_zero_is_refused(tmp_path: Path, value: float) -> None:
    weight = torch.tensor([[0.5, value], [0.0, -1.0]])
    write_sealed(tmp_path / "odd", {"w": weight, "mask/w": torch.tensor([[True, False], [False, True]])}, CONTENT)
    with pytest.raises(SettingError, match=r"odd: a ticket with pruned entries of 'w' that are not zero; "):
        RoundTicket.load(tmp_path / "odd")


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16, torch.complex64, torch.int8, torch.bool])
def test_a_pruned_entry_is_zero_in_every_type(tmp_path: Path, kind: torch.dtype) -> None:
    mask = torch.tensor([True, False])
    write_sealed(tmp_path / "zero", {"w": torch.tensor([1, 0]).to(kind), "mask/w": mask}, CONTENT)
    assert RoundTicket.load(tmp_path / "zero").weights["w"].dtype == kind
    write_sealed(tmp_path / "one", {"w": torch.tensor([1, 1]).to(kind), "mask/w": mask}, CONTENT)
    with pytest.raises(SettingError, match="not zero"):
        RoundTicket.load(tmp_path / "one")


def test_the_vocabulary_is_the_words_in_the_order_of_their_ids() -> None:
    tokenizer = json.dumps({"model": {"vocab": {"b": 3, "<pad>": 1, "a": 2, "<unk>": 0}}})
    assert RoundTicket({}, Mask({}), {}, tokenizer).vocabulary == ["<unk>", "<pad>", "a", "b"]


@pytest.mark.parametrize("vocabulary", [
    None, [], {"<unk>": 0}, {"<unk>": 0, "<pad>": 1, "a": 3}, {"<unk>": 0, "<pad>": 1, "a": 1},
    {"<unk>": 0, "<pad>": 1, "a": "2"}, {"<unk>": 1, "<pad>": 0}, {"<unk>": 0, "<pad>": 1, "\ud800": 2},
])  # fmt: skip
def test_a_tokenizer_without_such_words_has_no_vocabulary(vocabulary: Any) -> None:
    for tokenizer in (json.dumps({"model": {"vocab": vocabulary}}), "", "[]", "{}", '{"model": 1}', "[" * 100_000):
        with pytest.raises(ValueError, match="its tokenizer is no list of words"):
            _ = RoundTicket({}, Mask({}), {}, tokenizer).vocabulary


def test_what_is_nested_too_deep_or_no_text_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    check_nesting({"a": [1, {"b": "ü\U0001f600"}], "c": None})
    for content, why in ((deep, "deep"), ({"a": ["\udc80"]}, "surrogate"), ({"\ud800": 1}, "surrogate")):
        with pytest.raises(ValueError, match=why):
            check_nesting(content)


@pytest.mark.parametrize("wrong", [{"fc.weight": torch.zeros(4)}, {"fc.other": torch.zeros(1)}])
def test_weights_of_another_network_are_refused_by_name(wrong: dict[str, torch.Tensor]) -> None:
    check_parameters(Path("file"), WEIGHTS, WEIGHTS)
    with pytest.raises(SettingError, match=rf"file: the weights of another network: of '{next(iter(wrong))}' it has "):
        check_parameters(Path("file"), WEIGHTS | wrong, WEIGHTS)
    with pytest.raises(SettingError, match=r"the weights of another network: of 'fc\.bias' it has none"):
        check_parameters(Path("file"), {"fc.weight": WEIGHTS["fc.weight"]}, WEIGHTS)
