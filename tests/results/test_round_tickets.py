"""A ticket comes back as it was saved; what is no ticket, or no longer one, is refused by name."""

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save

from lt_lightning.errors import SettingError
from lt_lightning.lottery import Mask
from lt_lightning.runs.bases import REWIND, read_base
from lt_lightning.runs.masks import DENSE_VERSION, FORMAT, VERSION, read_masks
from lt_lightning.runs.round_ticket import RoundTicket, check_nesting, check_parameters, write_rewind_weights
from lt_lightning.runs.rounds import ticket_path
from lt_lightning.storage.sealed import write_sealed

WEIGHTS = {"fc.weight": torch.tensor([[0.5, 0.0], [0.0, -1.0]]), "fc.bias": torch.tensor(0.25)}
MASK = Mask({"fc.weight": WEIGHTS["fc.weight"] != 0})
TICKET = RoundTicket(WEIGHTS, MASK, {"round": 3, "test_loss": float("inf"), "class_names": ["a", "b"]}, '{"model": {}}')
CONTENT = {"format": FORMAT, "version": DENSE_VERSION, "about": {}, "tokenizer": "{}"}


def test_a_ticket_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    TICKET.save(tmp_path / "tickets/round_03.safetensors")
    loaded = RoundTicket.load(tmp_path / "tickets/round_03.safetensors")
    assert (loaded.mask, loaded.about, loaded.tokenizer) == (TICKET.mask, TICKET.about, TICKET.tokenizer)
    assert loaded.weights.keys() == WEIGHTS.keys()
    assert all(torch.equal(loaded.weights[name], weight) for name, weight in WEIGHTS.items())


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with weights to rewind to, and a ticket that refers to them: one weight of each kind."""
    torch.manual_seed(0)
    first = {
        "words": torch.randn(50, 4),
        "fc.weight": torch.randn(3, 40),
        "frozen": torch.randn(30),
        "bn": torch.ones(3),
    }
    weights = {name: weight.clone() for name, weight in first.items()}
    weights["words"][[2, 7]] += 1  # the words that batches had
    weights["fc.weight"] -= 1
    weights["bn"] = torch.tensor([torch.nan, -0.0, 1.0])
    mask = Mask({"words": torch.rand(50, 4) < 0.4, "fc.weight": torch.rand(3, 40) < 0.1})
    for name, alive in mask.items():
        weights[name][~alive] = 0
    (tmp_path / "state").mkdir()
    write_rewind_weights(tmp_path, first, "{}" * 1000)
    RoundTicket(weights, mask, {"round": 1}, "{}" * 1000).save(ticket_path(tmp_path, 1), read_base(tmp_path, REWIND))
    RoundTicket(weights, mask, {"round": 1}, "{}" * 1000).save(tmp_path / "alone")
    return tmp_path


def test_a_ticket_that_refers_to_weights_of_its_run_is_the_one_that_stands_alone(run: Path) -> None:
    found, alone = (RoundTicket.load(path) for path in (ticket_path(run, 1), run / "alone"))
    assert (found.mask, found.about, found.tokenizer) == (alone.mask, alone.about, alone.tokenizer)
    assert [*found.weights] == [*alone.weights]
    for name, weight in found.weights.items():
        assert weight.numpy().tobytes() == alone.weights[name].numpy().tobytes()


def test_a_ticket_holds_what_its_run_does_not_have(run: Path) -> None:
    file, mask = ticket_path(run, 1), RoundTicket.load(ticket_path(run, 1)).mask
    sizes = {name: tensor.nbytes for name, tensor in load_file(file).items()}
    rows = 4 * int(mask["words"][[2, 7]].sum())
    assert sizes == {
        "values/words": rows, "rows/words": 8, "mask/words": 25, "values/fc.weight": 4 * mask.counts["fc.weight"],
        "mask/fc.weight": 15, "values/bn": 12,
    }  # fmt: skip
    assert file.stat().st_size < 2000 < (run / "alone").stat().st_size


def test_a_ticket_moves_with_its_run(run: Path) -> None:
    before = RoundTicket.load(ticket_path(run, 1))
    moved = run.rename(run.with_name("elsewhere"))
    after = RoundTicket.load(ticket_path(moved, 1))
    assert all(bytes(after.weights[name].numpy()) == bytes(before.weights[name].numpy()) for name in before.weights)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (Path.unlink, r"no such file, and round_01\.safetensors refers to it"),
        (
            lambda path: path.write_bytes(path.read_bytes()[:-1]),
            r"cut off or changed .*, and round_01\.\S* refers to it",
        ),
        (
            lambda path: write_rewind_weights(path.parents[1], {"words": torch.ones(50, 4)}),
            "not the file that round_01",
        ),
    ],
    ids=["missing", "cut off", "another"],
)
def test_weights_that_a_ticket_refers_to_are_named_when_they_are_not_what_they_were(
    run: Path, damage: Callable[[Path], object], said: str
) -> None:
    damage(run / REWIND)
    with pytest.raises(SettingError, match=rf"^{run / REWIND}: {said}.*; restore it from a copy$"):
        RoundTicket.load(ticket_path(run, 1))


@pytest.mark.parametrize(
    "base", [{"file": "../../secret", "sha256": "0" * 64}, {"file": "state/lock"}, {"file": ["state"]}, "state", 3]
)
def test_a_ticket_refers_to_no_other_file(tmp_path: Path, base: Any) -> None:
    content = {**CONTENT, "version": VERSION, "parameters": {}, "base": base}
    write_sealed(tmp_path / "odd", {}, content)
    for read in (RoundTicket.load, read_masks):
        with pytest.raises(SettingError, match="odd: it refers to no file of its run; "):
            read(tmp_path / "odd")


@pytest.mark.parametrize(
    "parameters",
    [
        None, {}, {"w": None}, {"w": {"shape": [2]}}, {"w": {"shape": [3], "prunable": False, "base": False}},
        {"w": {"shape": [2], "prunable": False, "base": True}}, {"w": {"shape": [-2], "prunable": True, "base": False}},
        {"w": {"shape": [2.0], "prunable": True, "base": False}}, {"w": {"shape": [2], "prunable": 1, "base": False}},
        {name: {"shape": [2], "prunable": True, "base": False} for name in ("w", "v")},
    ],
)  # fmt: skip
def test_a_ticket_whose_parts_do_not_agree_is_refused(tmp_path: Path, parameters: Any) -> None:
    write_sealed(
        tmp_path / "odd", {"values/w": torch.ones(2)}, {**CONTENT, "version": VERSION, "parameters": parameters}
    )
    with pytest.raises(SettingError, match=r"odd: a ticket that is damaged: .*; restore it from a copy"):
        RoundTicket.load(tmp_path / "odd")


def documented_program() -> str:
    """Return the program of docs/runs.md that reads the ticket at `path` into `weights` and `mask`."""
    page = (Path(__file__).parents[2] / "docs/runs.md").read_text(encoding="utf-8")
    program = re.search(r"```python\n(import json\n.*?)```", page, re.DOTALL)
    assert program is not None
    return program[1]


def assert_the_documented_program_reads(path: Path) -> None:
    """Run the program on a ticket, and compare each weight and mask to the bit."""
    names: dict[str, Any] = {"path": path}
    exec(documented_program(), names)
    expected = RoundTicket.load(path)
    assert names["about"]["about"] == expected.about
    assert names["weights"].keys() == names["mask"].keys() == expected.weights.keys()
    for name, weight in expected.weights.items():
        found, alive = names["weights"][name], names["mask"][name]
        assert (found.dtype, found.shape) == (weight.dtype, weight.shape)
        assert found.numpy().tobytes() == weight.numpy().tobytes()
        assert alive.dtype == torch.bool
        assert torch.equal(alive, expected.mask[name] if name in expected.mask else torch.ones_like(weight).bool())


def test_the_documented_program_has_ten_lines_as_ruff_formats_them(tmp_path: Path) -> None:
    program = documented_program()
    assert len([line for line in program.splitlines() if line.strip() and not line.startswith("#")]) <= 10
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent)) or shutil.which("ruff")
    if ruff is None:
        pytest.skip("ruff is not installed")
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    settings = Path(__file__).parents[2] / "pyproject.toml"
    check = [ruff, "format", "--diff", "--config", str(settings), "program.py"]
    subprocess.run(check, cwd=tmp_path, check=True, capture_output=True)


def test_the_documented_program_reads_every_kind_of_part(run: Path) -> None:
    odd = {
        "scalar": torch.tensor(7), "empty": torch.zeros(0, 3), "whole": torch.tensor([[-0.0, 2.0]]),
        "half": torch.tensor([1.0, 0.0, 3.0], dtype=torch.float16), "complex": torch.tensor([1j, 0]),
        "flags": torch.tensor([True, False]), "wide": torch.arange(24.0).reshape(2, 3, 4), "narrow": torch.ones(4, 1),
    }  # fmt: skip
    mask = Mask({"whole": odd["whole"] > 0, "half": odd["half"] > 0, "wide": odd["wide"] % 5 == 1})
    odd["wide"] *= mask["wide"]
    RoundTicket(odd, mask, {"round": 2}, "{}").save(ticket_path(run, 2), read_base(run, REWIND))
    for number in (1, 2):
        assert_the_documented_program_reads(ticket_path(run, number))


@pytest.mark.slow
def test_the_documented_program_reads_the_tickets_of_runs_and_of_a_branch(
    play_small: Callable[..., Path], tmp_path: Path
) -> None:
    based = play_small(tmp_path / "based", "pruning.rounds=1", epochs=1)
    alone = play_small(tmp_path / "alone", "pruning.rounds=1", "pruning.rewind=random", epochs=1)
    branch = play_small(tmp_path / "branch", f"branch.of={based}", "pruning.mask=shuffle", "pruning.rounds=1", epochs=1)
    files = [path for run in (based, alone, branch) for path in sorted((run / "tickets").glob("*.safetensors"))]
    assert len(files) == 5
    assert read_masks(files[0]).base is not None
    for path in files:
        assert_the_documented_program_reads(path)


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
    # A JSON text, and behind it three weights of four bytes and a mask of four bits: there is no room for more.
    assert json.loads(data[8:end])["__metadata__"].keys() == {"lt_lightning"}
    assert len(data) - end == 3 * 4 + 1


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
