"""Packed tickets of encoders, made by hand: what a hostile or careless file leads to, and folders for transformers."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("transformers")

import transformers

from lt_lightning.errors import SettingError
from lt_lightning.export.encoders import Trial
from lt_lightning.export.files import Places
from lt_lightning.export.huggingface.averaging import Linear, fill_averaging_layer
from lt_lightning.export.huggingface.folder import check_folder, write_folder
from lt_lightning.export.huggingface.stock import stock_networks
from lt_lightning.tickets import Ticket
from lt_lightning.tickets.encoder.file import PackedEncoder
from lt_lightning.tickets.encoder.modeling_ticket import TicketConfig, TicketForSequenceClassification
from lt_lightning.tickets.encoder.network import by_torch
from lt_lightning.tickets.parameters import Parameter
from lt_lightning.tickets.ticket import load_packed
from trials.encoders import SMALL, make_pieces

NAMES = ["animals", "food", "tools"]


def pack(kind: str = "bert", *, graph: bytes = b"", cut: bool = True, **config: Any) -> PackedEncoder:
    """Return the ticket of an encoder with random weights; `config` is added to the configuration in its header."""
    tokenizer = make_pieces()
    settings = {**SMALL, "vocab_size": tokenizer.get_vocab_size(), "num_hidden_layers": 1}
    if kind == "modernbert":
        settings |= {"pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = {**settings, "model_type": kind}
        network = TicketForSequenceClassification(TicketConfig(encoder=encoder, num_labels=len(NAMES)))
    if cut:
        tokenizer.enable_truncation(16)
    weights = {name: weight.numpy() for name, weight in network.state_dict().items()}
    parameters = {name: Parameter(one.shape, one.reshape(-1), None, True) for name, one in weights.items()}
    about = {
        "encoder": {"config": {**encoder, **config}, "pooling": "mean", "padding": 0, "name": kind, "note": None},
        "class_names": NAMES, "splitter": "model", "max_length": 16, "model": {"name": "bert"}, "values": "float32",
        "sparsity": 0.0, "alive": 1, "total": 1, "round": 0,
    }  # fmt: skip
    return PackedEncoder(parameters, tokenizer.to_str(), graph, about)


def trial(packed: PackedEncoder) -> Trial:
    answer = by_torch(packed)

    def network(ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        mask = torch.arange(ids.shape[1]) < lengths[:, None]
        return torch.from_numpy(answer(ids.numpy(), mask.long().numpy()))

    return Trial(network, packed)  # pyright: ignore[reportArgumentType]


def test_a_text_longer_than_the_position_table_is_an_error_in_one_line():
    ticket = Ticket(pack(cut=False))
    assert ticket.predict(["the cat"]).shape == (1, 3)
    with pytest.raises(SettingError, match=r"^the ticket's network cannot read texts of \d+ pieces \(.*\); export"):
        ticket.predict(["the cat " * 99])


def test_a_graph_that_gives_logits_of_another_shape_is_an_error_in_one_line():
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    integers, floats = onnx.TensorProto.INT64, onnx.TensorProto.FLOAT
    nodes = [
        onnx.helper.make_node("Cast", ["input_ids"], ["numbers"], to=floats),
        onnx.helper.make_node("ReduceMean", ["numbers"], ["logits"], keepdims=1),  # (1, 1) would be broadcast
        onnx.helper.make_node("Identity", ["attention_mask"], ["same"]),
    ]
    values = {
        name: onnx.helper.make_tensor_value_info(name, kind, None)
        for name, kind in (("input_ids", integers), ("attention_mask", integers), ("logits", floats))
    }
    graph = onnx.helper.make_graph(nodes, "odd", [values["input_ids"], values["attention_mask"]], [values["logits"]])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    packed = PackedEncoder({}, pack().tokenizer, model.SerializeToString(), pack().about)
    with pytest.raises(SettingError, match=r"gives an array of shape \[1, 1\] for 2 texts and 3 classes"):
        Ticket(packed).predict(["the cat", "a dog"])


def test_a_configuration_larger_than_the_weights_is_refused_before_it_takes_memory(tmp_path):
    with pytest.raises(SettingError, match="parameters of its configuration are others than its own"):
        Ticket(pack(intermediate_size=1 << 40))
    pack(num_hidden_layers=10**9).save(tmp_path / "t.safetensors")
    with pytest.raises(SettingError, match="its configuration has num_hidden_layers 1000000000, more than 1,000"):
        load_packed(tmp_path / "t.safetensors")


def test_a_tokenizer_without_a_piece_for_unknown_words_is_an_error_in_one_line():
    packed = pack()
    tokenizer = packed.tokenizer.replace('"unk_token":"[UNK]"', '"unk_token":"[NONE]"')
    assert tokenizer != packed.tokenizer
    ticket = Ticket(PackedEncoder(packed.parameters, tokenizer, b"", packed.about))
    with pytest.raises(SettingError, match=r"^the ticket's tokenizer cannot read a text"):
        ticket.predict(["中"])


def test_an_architecture_with_other_settings_gets_code_of_its_own(tmp_path, monkeypatch):
    packed = pack("modernbert")  # it lists the kind of each layer, so that one more cannot be built
    assert list(stock_networks(packed)) == []
    assert write_folder(tmp_path / "my_ticket", packed, trial(packed))[0] == "TicketForSequenceClassification"
    card = (tmp_path / "my_ticket" / "README.md").read_text(encoding="utf-8")
    assert 'AutoTokenizer.from_pretrained("my_ticket", trust_remote_code=True)\n' in card  # it would ask otherwise
    assert 'AutoModelForSequenceClassification.from_pretrained("my_ticket", trust_remote_code=True).eval()\n' in card
    monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    auto = transformers.AutoModelForSequenceClassification
    with pytest.raises(ValueError, match="trust_remote_code"):
        auto.from_pretrained(tmp_path / "my_ticket", trust_remote_code=False)
    model = auto.from_pretrained(tmp_path / "my_ticket", trust_remote_code=True).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "my_ticket", trust_remote_code=True)
    texts = ["a cat and a dog", "", "the good film with the bad cheese " * 9]
    with torch.no_grad():
        logits = model(**tokenizer(texts, padding=True, truncation=True, return_tensors="pt")).logits.numpy()
    np.testing.assert_allclose(logits, Ticket(packed).logits(texts), atol=1e-5)


def test_the_card_names_the_folder_as_it_is_and_others_may_read_the_weights(tmp_path):
    packed, folder = pack(), tmp_path / "my_ticket"
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    write_folder(folder, packed, trial(packed))
    assert folder.is_symlink()
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert 'AutoTokenizer.from_pretrained("elsewhere")\n' in card
    assert card.endswith("as in training.\n")
    assert "it applies to these weights too" in card
    modes: Mapping[str, int] = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert len({*modes.values()}) == 1, modes


def test_folders_that_hold_anything_else_are_refused(tmp_path, monkeypatch):
    packed, folder = pack(), tmp_path / "hf"
    write_folder(folder, packed, trial(packed))
    places = Places.beside(tmp_path / "out" / "t.safetensors")
    check_folder(folder, places)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(SettingError, match=r"holds notes\.txt, which no export wrote; move it"):
        check_folder(folder, places)
    with pytest.raises(SettingError, match="another file of the export has this name"):
        check_folder(places.onnx, places)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    for typed in (Path(), Path(os.pardir) / "empty", tmp_path):
        with pytest.raises(SettingError, match=r"is the working directory|holds the packed ticket"):
            check_folder(typed, places)


@pytest.mark.parametrize("hidden", [6, 7, 32])
def test_the_averaging_layer_averages_whatever_the_states_are(hidden):
    heads = {6: 2, 7: 1, 32: 4}[hidden]
    config = transformers.BertConfig(
        hidden_size=hidden, num_attention_heads=heads, intermediate_size=8, num_hidden_layers=1, vocab_size=9
    )
    layer = transformers.BertModel(config).encoder.layer[0].eval()
    generator = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(2, hidden, generator=generator), torch.randn(2, generator=generator)
    read = fill_averaging_layer(layer, Linear(weight, bias))
    assert read is not None
    states = 5 * torch.randn(4, 11, hidden, generator=generator)
    with torch.no_grad():
        first = layer(states)
        first = (first[0] if isinstance(first, tuple) else first)[:, 0]
        found, expected = first @ read.weight.T + read.bias, states.mean(1) @ weight.T + bias
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)
    assert fill_averaging_layer(layer, Linear(torch.randn(3, 6), torch.randn(3))) is None  # no room for constants


def test_damaged_encoder_tickets_are_refused_in_one_line(tmp_path):
    packed, path = pack(), tmp_path / "t.safetensors"
    packed.save(path)
    assert load_packed(path).parameters.keys() == packed.parameters.keys()
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(SettingError, match="cut off or changed"):
        load_packed(path)
    for change, words in (
        ({"encoder": {"config": {}, "pooling": "mean", "padding": 0}}, "names no model_type"),
        ({"encoder": {**packed.about["encoder"], "pooling": "max"}}, "its pooling 'max' is none of mean"),
        ({"encoder": None}, "has no configuration"),
        ({"splitter": "words"}, "its splitter 'words' is not that of an encoder"),
    ):
        PackedEncoder(packed.parameters, packed.tokenizer, packed.graph, {**packed.about, **change}).save(path)
        with pytest.raises(SettingError, match=words):
            load_packed(path)
