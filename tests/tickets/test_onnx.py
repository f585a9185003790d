"""An ONNX file of a ticket gives torch's logits, in onnxruntime, whatever stands beyond a text."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lt_lightning.errors import SettingError
from lt_lightning.models.cnn import BinaryCNN, MultiCNN
from lt_lightning.models.rnn.classifier import RecurrentClassifier
from lt_lightning.tickets import onnx as written
from lt_lightning.tickets.file import Packed
from lt_lightning.tickets.onnx import write_onnx
from lt_lightning.tickets.parameters import Parameter

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

WORDS, DIM = 30, 6
LENGTHS = (0, 1, 2, 3, 4, 5, 9, 17, 0, 6)


def pruned(network: nn.Module, density: float) -> nn.Module:
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "bias" in name:
                parameter.normal_(generator=generator)
            parameter.mul_(torch.rand(parameter.shape, generator=generator) < density)
    return network.eval()


def packed(network: nn.Module, classes: int, **model: Any) -> Packed:
    parameters = {}
    for name, tensor in network.state_dict().items():
        flat = tensor.numpy().reshape(-1)
        places = np.flatnonzero(flat)
        parameters[name] = Parameter(tuple(tensor.shape), flat[places], places, True)
    words = tuple(f"w{number}" for number in range(2, WORDS))
    about = {
        "model": model, "class_names": [f"c{number}" for number in range(classes)], "splitter": "words",
        "max_length": None, "words": WORDS, "embedding_dim": DIM, "run": "r", "round": 3, "sparsity": 0.5,
        "test_acc": 0.9,
    }  # fmt: skip
    return Packed(parameters, words, np.arange(2, WORDS), None, about)


def cnn(classes: int) -> tuple[nn.Module, Packed]:
    torch.manual_seed(0)
    settings: dict[str, Any] = {"dim": DIM, "filters": 5, "widths": (2, 3, 5), "kernel": "reference"}
    network = BinaryCNN(WORDS, **settings) if classes == 2 else MultiCNN(WORDS, classes, **settings)
    network = pruned(network, 0.6)
    return network, packed(network, classes, name="cnn", filters=5, widths=[2, 3, 5])


def recurrent(cell: str, classes: int, layers: int, bidirectional: bool) -> tuple[nn.Module, Packed]:
    torch.manual_seed(0)
    network = RecurrentClassifier(
        WORDS, None if classes == 2 else classes, cell=cell, backend="equations", dim=DIM, hidden=4, layers=layers,
        bidirectional=bidirectional, kernel="reference",
    )  # fmt: skip
    network = pruned(network, 0.8)
    return network, packed(
        network, classes, name="birnn", cell=cell, hidden=4, layers=layers, bidirectional=bidirectional
    )


NETWORKS = {
    "cnn of 4 classes": lambda: cnn(4),
    "cnn of 2 classes": lambda: cnn(2),
    **{
        f"{'bi' if ways else ''}{cell}, {layers} layers": lambda cell=cell, layers=layers, ways=ways: recurrent(
            cell, 2 + layers - 1, layers, ways
        )
        for cell in ("rnn", "gru", "gru_chung", "lstm")
        for layers, ways in ((1, False), (2, True))
    },
}


def texts(longest: int, fill: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    rows = [rng.integers(WORDS, size=length) for length in LENGTHS]
    ids = rng.integers(WORDS, size=(len(rows), longest)) if fill is None else np.full((len(rows), longest), fill)
    for row, text in zip(ids, rows, strict=True):
        row[: len(text)] = text
    return ids.astype(np.int64), np.array(LENGTHS)


@pytest.mark.parametrize("name", NETWORKS)
def test_onnxruntime_gives_torchs_logits_whatever_the_padding(name: str, tmp_path: Path) -> None:
    network, ticket = NETWORKS[name]()
    ids, lengths = texts(max(LENGTHS), fill=1)
    with torch.inference_mode():
        expected = network(torch.from_numpy(ids), torch.from_numpy(lengths)).numpy()
    write(ticket, tmp_path / "ticket.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "ticket.onnx", providers=["CPUExecutionProvider"])
    for longest in (max(LENGTHS), max(LENGTHS) + 8):
        ids, lengths = texts(longest)
        logits, probabilities = session.run(["logits", "probabilities"], {"ids": ids, "lengths": lengths})
        assert logits.shape == expected.shape
        np.testing.assert_allclose(logits, expected, atol=1e-5)
        assert probabilities.shape == (len(LENGTHS), len(ticket.about["class_names"]))
        both = torch.from_numpy(np.stack([0 * expected, expected], axis=1) if expected.ndim == 1 else expected)
        np.testing.assert_allclose(probabilities, both.softmax(dim=1).numpy(), atol=1e-5)
    # A batch of empty texts alone has no column at all.
    empty = {"ids": np.zeros((2, 0), np.int64), "lengths": np.zeros(2, np.int64)}
    (logits,) = session.run(["logits"], empty)
    np.testing.assert_allclose(logits, expected[[0, 0]], atol=1e-5)


def write(ticket: Packed, path: Path) -> None:
    """Write it, and see nothing more than rounding between it and the ticket's own logits."""
    difference = write_onnx(ticket, path)
    assert difference is not None
    assert difference < 1e-5


def test_the_file_says_what_its_numbers_mean(tmp_path: Path) -> None:
    _, ticket = cnn(4)
    ticket = replace(ticket, about={**ticket.about, "temperature": 2.5})
    write(ticket, tmp_path / "ticket.onnx")
    model = onnx.load(tmp_path / "ticket.onnx")
    said = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert said == {
        "class_names": ["c0", "c1", "c2", "c3"], "splitter": "words", "max_length": None, "words": WORDS, "unknown": 0,
        "padding": 1, "temperature": 2.5, "run": "r", "round": 3, "sparsity": 0.5, "test_acc": 0.9,
    }  # fmt: skip
    session = onnxruntime.InferenceSession(tmp_path / "ticket.onnx", providers=["CPUExecutionProvider"])
    logits, probabilities = session.run(None, {"ids": np.array([[2, 3, 4]]), "lengths": np.array([3])})
    powers = np.exp(logits / 2.5)
    np.testing.assert_allclose(probabilities, powers / powers.sum(), rtol=1e-5)
    weights = {entry.name: onnx.numpy_helper.to_array(entry) for entry in model.graph.initializer}
    for name, parameter in ticket.parameters.items():
        np.testing.assert_array_equal(weights[name], parameter.dense())


def test_a_wrong_graph_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, ticket = recurrent("gru", 3, 1, True)
    _, chung = recurrent("gru_chung", 3, 1, True)
    from lt_lightning.tickets import graphs

    build = graphs.build_graph
    monkeypatch.setattr(graphs, "build_graph", lambda _: build(chung))
    with pytest.raises(SettingError, match=r"^--onnx: onnxruntime's logits are .* off the ticket's; leave it out"):
        write_onnx(ticket, tmp_path / "ticket.onnx")
    assert list(tmp_path.iterdir()) == []


def test_without_onnx_the_line_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, ticket = cnn(4)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(SettingError, match=r'^--onnx: onnx is not installed; pip install "lt-lightning\[onnx\]"$'):
        write_onnx(ticket, tmp_path / "ticket.onnx")
    assert list(tmp_path.iterdir()) == []


def test_without_onnxruntime_it_is_written_unchecked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, ticket = cnn(4)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert write_onnx(ticket, tmp_path / "ticket.onnx") is None
    onnx.checker.check_model(onnx.load(tmp_path / "ticket.onnx"), full_check=True)


def test_what_no_file_holds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, ticket = cnn(4)
    monkeypatch.setattr(written, "LARGEST", 100)
    with pytest.raises(SettingError, match=r"--onnx: the network has .* GiB of weights, .* use --state-dict"):
        write_onnx(ticket, tmp_path / "ticket.onnx")
