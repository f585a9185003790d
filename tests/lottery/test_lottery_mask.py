"""`Mask`: a mapping of boolean tensors that is exact where it is applied and safe where it is read."""

import math
import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lt_lightning.lottery import LotteryError, Mask


@pytest.fixture
def mask() -> Mask:
    return Mask({"a": torch.tensor([[True, False, True], [False, False, True]]), "b": torch.tensor(True)})


def test_a_mask_is_a_mapping_from_names_to_boolean_tensors(mask):
    assert list(mask) == ["a", "b"]
    assert len(mask) == 2
    assert "a" in mask
    assert "c" not in mask
    assert dict(mask)["b"].dtype == torch.bool
    assert mask.get("c") is None
    with pytest.raises(KeyError):
        mask["c"]
    with pytest.raises(TypeError):
        mask["a"] = torch.tensor(True)


def test_a_mask_does_not_follow_the_dictionary_it_was_made_of():
    tensors = {"a": torch.tensor(True)}
    mask = Mask(tensors)
    tensors["b"] = torch.tensor(True)
    assert list(mask) == ["a"]


@pytest.mark.parametrize(
    "tensor", [torch.ones(2), torch.ones(2, dtype=torch.uint8), [True, False], None], ids=lambda value: str(value)
)
def test_what_is_not_a_boolean_tensor_is_refused_by_name(tensor):
    with pytest.raises(TypeError, match=r"'layer\.weight'"):
        Mask({"layer.weight": tensor})


def test_counts_are_those_of_a_loop(mask):
    entries = [entry for tensor in mask.values() for entry in tensor.flatten().tolist()]
    assert (mask.alive, mask.total) == (sum(entries), len(entries)) == (4, 7)
    assert mask.sparsity == pytest.approx(3 / 7)
    assert mask.counts == {"a": 3, "b": 1}


def test_a_mask_of_nothing_is_not_sparse():
    assert (Mask({}).alive, Mask({}).total, Mask({}).sparsity) == (0, 0, 0.0)


def test_ones_have_the_shapes_and_devices_of_the_parameters():
    module = nn.Linear(3, 2, dtype=torch.bfloat16)
    for params in (dict(module.named_parameters()), module.named_parameters()):
        mask = Mask.ones(params)
        assert {name: tensor.shape for name, tensor in mask.items()} == {"weight": (2, 3), "bias": (2,)}
        assert mask.sparsity == 0
        assert not any(tensor.requires_grad for tensor in mask.values())
    assert Mask.ones(nn.Linear(3, 2, device="meta").named_parameters())["weight"].device.type == "meta"


def test_equal_masks_are_equal_and_others_are_not(mask):
    assert mask == Mask({name: tensor.clone() for name, tensor in mask.items()})
    assert mask != Mask({"a": mask["a"]})
    assert mask != Mask({"a": ~mask["a"], "b": mask["b"]})
    assert mask != Mask({"a": mask["a"].flatten(), "b": mask["b"]})
    assert mask != {"a": 1}


def test_a_subset_is_one_entry_by_entry(mask):
    smaller = Mask({"a": mask["a"] & torch.tensor([True, True, False]), "b": mask["b"]})
    assert smaller.is_subset_of(mask)
    assert mask.is_subset_of(mask)
    assert not mask.is_subset_of(smaller)
    assert not Mask({"a": mask["a"]}).is_subset_of(mask)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_applied_it_leaves_the_living_bit_for_bit_and_the_rest_plus_zero(dtype):
    values = torch.tensor([math.nan, math.inf, -math.inf, -1.5, -0.0, 0.25], dtype=dtype)
    living = torch.tensor([True, False])
    weights = values.repeat_interleave(2)
    parameter = nn.Parameter(weights.clone())
    Mask({"w": living.repeat(len(values))}).apply_({"w": parameter})
    bits = {2: torch.int16, 4: torch.int32, 8: torch.int64}[weights.element_size()]
    assert torch.equal(parameter.detach()[::2].view(bits), weights[::2].view(bits))
    assert not parameter.detach()[1::2].view(bits).any()  # of -0.0 a bit is set


def test_applied_it_leaves_what_it_does_not_name_alone():
    module = nn.Linear(2, 2)
    bias = module.bias.detach().clone()
    Mask({"weight": torch.zeros(2, 2, dtype=torch.bool)}).apply_(module.named_parameters())
    assert module.weight.tolist() == [[0, 0], [0, 0]]
    assert torch.equal(module.bias, bias)


def test_applied_to_another_model_it_is_refused_by_name(mask):
    with pytest.raises(LotteryError, match="'a'"):
        mask.apply_({"b": torch.tensor(1.0)})
    with pytest.raises(LotteryError, match="'a'"):
        mask.apply_({"a": torch.ones(3, 2), "b": torch.tensor(1.0)})


def test_a_mask_moves_to_another_device(mask):
    assert {tensor.device.type for tensor in mask.to("meta").values()} == {"meta"}
    assert {tensor.device.type for tensor in mask.values()} == {"cpu"}


@pytest.mark.gpu
def test_a_mask_on_the_cpu_applies_to_parameters_on_a_gpu(mask):
    params = {"a": torch.ones(2, 3, device="cuda"), "b": torch.ones((), device="cuda")}
    mask.apply_(params)
    assert params["a"].tolist() == [[1, 0, 1], [0, 0, 1]]
    assert mask.to("cuda") == mask


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=5),
        st.lists(st.integers(0, 3), max_size=3).map(lambda shape: torch.rand(shape) < 0.5),
        max_size=3,
    )
)
def test_what_was_saved_is_loaded(tmp_path_factory, tensors):
    path = tmp_path_factory.getbasetemp() / "mask.pt"
    Mask(tensors).save(path)
    loaded = Mask.load(path)
    assert loaded == Mask(tensors)
    assert list(loaded) == list(tensors)


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.write_text, (self.path, "sprung")


def test_code_in_a_file_is_never_run(tmp_path):
    sprung = tmp_path / "sprung"
    (tmp_path / "raw.pt").write_bytes(pickle.dumps(Trap(sprung)))
    torch.save({"a": torch.tensor(True), "b": Trap(sprung)}, tmp_path / "torch.pt")
    torch.save(Trap(sprung), tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    for name in ("raw.pt", "torch.pt", "legacy.pt"):
        with pytest.raises(LotteryError, match=name):
            Mask.load(tmp_path / name)
    assert not sprung.exists()


@pytest.mark.parametrize("content", [
    [torch.tensor(True)], torch.tensor(True), 7, {"a": torch.ones(2)}, {"a": 1}, {0: torch.tensor(True)},
    {"state_dict": {"a": torch.tensor(True)}}, nn.Linear(1, 1).state_dict(),
], ids=["list", "tensor", "number", "floats", "values", "numbered", "nested", "weights"])  # fmt: skip
def test_torch_files_with_something_else_in_them_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "mask.pt")
    with pytest.raises(LotteryError, match=r"mask\.pt"):
        Mask.load(tmp_path / "mask.pt")


@given(st.binary(max_size=200))
def test_garbage_is_refused(tmp_path_factory, garbage):
    path = tmp_path_factory.getbasetemp() / "garbage.pt"
    path.write_bytes(garbage)
    with pytest.raises(LotteryError, match=r"garbage\.pt"):
        Mask.load(path)


def test_a_file_cut_short_is_refused(tmp_path, mask):
    path = tmp_path / "mask.pt"
    mask.save(path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 13):
        path.write_bytes(whole[:length])
        with pytest.raises(LotteryError, match=r"mask\.pt"):
            Mask.load(path)


def test_a_damaged_file_is_a_mask_or_refused(tmp_path, mask):
    path = tmp_path / "mask.pt"
    mask.save(path)
    whole = path.read_bytes()
    refused = 0
    for position in range(0, len(whole), 5):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :])
        try:
            assert isinstance(Mask.load(path), Mask)
        except LotteryError:
            refused += 1
    assert refused


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        Mask.load(tmp_path / "none.pt")
