"""A ticket that is cut smaller gives the uncut network's logits, in torch, in NumPy and in ONNX."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from lt_lightning import Ticket
from lt_lightning.config.enums import Splitter
from lt_lightning.data.tokenizer import PADDING, make_tokenizer
from lt_lightning.export.__main__ import main
from lt_lightning.export.files import write_tokenizer
from lt_lightning.export.shrinking import shrink
from lt_lightning.lottery import Mask
from lt_lightning.models import BinaryCNN, MultiCNN, RecurrentClassifier
from lt_lightning.runs.packing import pack_ticket
from lt_lightning.runs.round_ticket import RoundTicket

WORDS, DIM, CLASSES = 40, 6, 3
NAMES = [f"w{number}" for number in range(2, WORDS)]
LENGTHS = (0, 1, 2, 3, 4, 5, 9, 17, 0, 31)


@torch.no_grad()
def prune_rows(network: nn.Module, density: float, seed: int) -> Mask:
    """Draw all weights, then prune whole rows of matrices and some entries of biases, at random; `<unk>` is zero."""
    generator = torch.Generator().manual_seed(seed)
    masks = {}
    for name, weight in network.named_parameters():
        weight.normal_(std=0.6, generator=generator)
        alive = torch.rand(len(weight), *[1] * (weight.dim() - 1), generator=generator) < density
        if name == "embedding.weight":
            alive[:2] = False
        masks[name] = alive.expand_as(weight).clone()
        weight.mul_(masks[name])
    return Mask(masks)


def ticket_of(network: nn.Module, mask: Mask, classes: int, **model: Any) -> RoundTicket:
    about = {
        "model": model, "embedding_dim": DIM, "class_names": [f"class {number}" for number in range(classes)],
        "splitter": "words", "max_length": None, "round": 1, "alive": mask.alive, "total": mask.total,
    }  # fmt: skip
    return RoundTicket(dict(network.state_dict()), mask, about, make_tokenizer(NAMES, Splitter.words).to_str())


def cnn(density: float, seed: int = 0, *, classes: int = CLASSES) -> tuple[nn.Module, RoundTicket]:
    settings: dict[str, Any] = {"dim": DIM, "filters": 8, "widths": [2, 3, 5], "kernel": "reference"}
    network = BinaryCNN(WORDS, **settings) if classes == 2 else MultiCNN(WORDS, classes, **settings)
    mask = prune_rows(network, density, seed)
    return network, ticket_of(network, mask, classes, name="cnn", filters=8, widths=[2, 3, 5])


def recurrent(
    cell: str, density: float, layers: int = 2, *, both: bool = True, seed: int = 0, hidden: int = 7
) -> tuple[RecurrentClassifier, RoundTicket]:
    """A network some of whose hidden units keep a state of zero: their candidate's rows and biases are dead."""
    network = RecurrentClassifier(
        WORDS, CLASSES, cell=cell, backend="equations", dim=DIM, hidden=hidden, layers=layers, bidirectional=both
    )
    mask = prune_rows(network, 0.8, seed)
    block = {"rnn": 0, "lstm": 2, "gru": 2, "gru_chung": 2}[cell]
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in network.rnn.named_parameters():
            if name.startswith("weight_ih"):
                dead = block * hidden + (torch.rand(hidden, generator=generator) >= density).nonzero().squeeze(1)
            if name.startswith("weight_hh"):  # a unit may read others that stay zero
                alive = torch.zeros(weight.shape, dtype=torch.bool)
                alive[:, dead - block * hidden] = True
                keep = torch.ones(weight.shape, dtype=torch.bool)
                keep[dead] = alive[dead]
                weight.mul_(keep)
            else:
                weight[dead] = 0
    mask = Mask({name: network.get_parameter(name) != 0 for name in mask})
    model = {"name": "birnn", "cell": cell, "hidden": hidden, "layers": layers, "bidirectional": both}
    return network, ticket_of(network, mask, CLASSES, **model)


def rebuilt(ticket: RoundTicket) -> nn.Module:
    """The network of a ticket, as a user of its dense weights builds it."""
    model = dict(ticket.about["model"])
    dim, classes = ticket.about["embedding_dim"], len(ticket.about["class_names"])
    words, name = len(ticket.vocabulary), model.pop("name")
    if name == "birnn":
        network: nn.Module = RecurrentClassifier(words, classes, backend="equations", dim=dim, **model)
    elif classes == 2:
        network = BinaryCNN(words, dim=dim, kernel="reference", **model)
    else:
        network = MultiCNN(words, classes, dim=dim, kernel="reference", **model)
    network.load_state_dict(ticket.weights)
    return network


def draw(lengths: Sequence[int] = LENGTHS) -> list[list[str]]:
    rng = np.random.default_rng(0)
    names = ["<unk>", "<pad>", *NAMES]
    return [[names[number] for number in rng.integers(2, WORDS, length)] for length in lengths]


def ids_of(ticket: RoundTicket, texts: Sequence[Sequence[str]], zero_words: Sequence[str] = ()) -> list[list[int]]:
    numbers = {word: number for number, word in enumerate(ticket.vocabulary)} | dict.fromkeys(zero_words, PADDING)
    return [[numbers.get(word, 0) for word in text] for text in texts]


def answer(network: nn.Module, texts: Sequence[Sequence[int]]) -> Tensor:
    lengths = torch.tensor([len(text) for text in texts])
    ids = torch.full((len(texts), max(1, int(lengths.max()))), PADDING)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = torch.tensor(text, dtype=torch.int64)
    with torch.inference_mode():
        return network.eval()(ids, lengths).reshape(len(texts), -1)


def assert_same_logits(network: nn.Module, ticket: RoundTicket) -> RoundTicket:
    """Check the smaller network's logits, by torch and by NumPy, and return its ticket."""
    shrunk, texts = shrink(ticket), [*draw(), ["a", "word", "w2", "unknown"]]
    smaller, cuts = shrunk.ticket, shrunk.cuts
    expected = answer(network, ids_of(ticket, texts)).numpy()
    found = answer(rebuilt(smaller), ids_of(smaller, texts, shrunk.zero_words)).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    packed = replace(pack_ticket(smaller, {}), zero_words=shrunk.zero_words)
    found = Ticket(packed).logits([" ".join(text) for text in texts]).reshape(expected.shape)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    for name, weight in smaller.weights.items():
        np.testing.assert_array_equal(packed.parameters[name].dense(), weight.numpy())
    size = sum(weight.numel() for weight in smaller.weights.values())
    assert (cuts[-1].after if cuts else size) == size
    return smaller


@pytest.mark.parametrize("classes", [2, 3])
@given(density=st.sampled_from((0.0, 0.1, 0.3, 0.7, 1.0)), seed=st.integers(0, 30))
@hypothesis_settings(max_examples=25)
def test_a_convolutional_network_without_its_dead_rows_gives_the_same_logits(classes, density, seed):
    network, ticket = cnn(density, seed, classes=classes)
    smaller = assert_same_logits(network, ticket)
    alive = [ticket.mask[f"convs.{place}.weight"].flatten(1).any(dim=1) for place in range(3)]
    living = [int(rows.sum()) for rows in alive if rows.any()]
    read = (ticket.weights["fc.weight"] != 0).any()
    if living and read and ticket.mask["embedding.weight"].any():
        counts = smaller.about["model"]["filters"]
        assert (counts if isinstance(counts, list) else [counts] * len(living)) == living
        assert smaller.about["model"]["widths"] == [w for w, rows in zip((2, 3, 5), alive, strict=True) if rows.any()]
        words = int(ticket.mask["embedding.weight"].any(dim=1).sum())
        assert smaller.weights["embedding.weight"].shape == (2 + words, DIM)


@pytest.mark.parametrize("cell", ["rnn", "gru", "gru_chung", "lstm"])
@pytest.mark.parametrize(("layers", "both"), [(1, False), (2, True)])
@given(density=st.sampled_from((0.0, 0.3, 0.7, 1.0)), seed=st.integers(0, 30))
@hypothesis_settings(max_examples=12)
def test_a_recurrent_network_without_its_zero_units_gives_the_same_logits(cell, layers, both, density, seed):
    network, ticket = recurrent(cell, density, layers, both=both, seed=seed)
    assert_same_logits(network, ticket)


@pytest.mark.parametrize("cell", ["rnn", "gru", "gru_chung", "lstm"])
def test_a_recurrent_network_keeps_the_units_that_can_leave_zero(cell):
    hidden = 5
    network, _ = recurrent(cell, 1.0, layers=1, both=False, hidden=hidden)
    row = {"rnn": 0}.get(cell, 2) * hidden
    with torch.no_grad():
        for weight in network.parameters():
            weight.fill_(0.5)
        weights = dict(network.rnn.named_parameters())
        for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
            weights[name][row : row + 3] = 0  # units 0, 1, 2 have no candidate
        weights["weight_hh_l0"][row, 1] = 1.0  # 0 reads 1, which is zero
        weights["weight_hh_l0"][row + 2, 4] = 1.0  # 2 reads 4, which lives
        network.embedding.weight[:2] = 0
    mask = Mask({name: weight != 0 for name, weight in network.named_parameters()})
    ticket = ticket_of(network, mask, CLASSES, name="birnn", cell=cell, hidden=hidden, layers=1, bidirectional=False)
    smaller = assert_same_logits(network, ticket)
    assert smaller.about["model"]["hidden"] == 3
    assert torch.equal(smaller.weights["fc.weight"], ticket.weights["fc.weight"][:, 2:])
    assert smaller.weights["rnn.weight_hh_l0"].shape[1] == 3


def test_the_constant_output_of_a_dead_filter_moves_into_the_next_bias():
    network = MultiCNN(WORDS, CLASSES, dim=DIM, filters=2, widths=[2], kernel="reference")
    weights = network.state_dict()
    with torch.no_grad():
        weights["embedding.weight"].fill_(1.0)[:2] = 0
        weights["convs.0.weight"].zero_()[0, 0, 0] = 1.0
        weights["convs.0.bias"].copy_(torch.tensor([0.0, 0.5]))
        weights["fc.weight"].copy_(torch.tensor([[1.0, 2.0], [1.0, -4.0], [1.0, 0.0]]))
        weights["fc.bias"].copy_(torch.tensor([0.25, 0.0, 0.0]))
    mask = Mask({**{name: weight != 0 for name, weight in weights.items()}, "fc.bias": weights["fc.bias"] != 0})
    smaller = assert_same_logits(network, ticket_of(network, mask, CLASSES, name="cnn", filters=2, widths=[2]))
    assert smaller.weights["fc.bias"].tolist() == [1.25, -2.0, 0.0]
    assert smaller.mask["fc.bias"].tolist() == [True, True, False]
    assert smaller.weights["fc.weight"].tolist() == [[1.0], [1.0], [1.0]]
    assert smaller.weights["embedding.weight"].shape == (WORDS, 1)  # the one dimension that the filter reads


def test_dead_words_become_padding_where_the_unknown_word_has_a_vector(tmp_path):
    network, ticket = cnn(0.3)
    with torch.no_grad():
        network.embedding.weight[0] = 1.0  # pyright: ignore
    ticket.mask["embedding.weight"][0] = True
    smaller = assert_same_logits(network, ticket)
    alive = ticket.mask["embedding.weight"].any(dim=1).tolist()
    dead = tuple(word for word, lives in zip(ticket.vocabulary[2:], alive[2:], strict=True) if not lives)
    shrunk = shrink(ticket)
    assert shrunk.zero_words == dead
    assert len(smaller.vocabulary) == WORDS - len(dead)
    packed = replace(pack_ticket(smaller, {}), zero_words=dead)
    packed.save(tmp_path / "ticket.safetensors")
    read = Ticket.load(tmp_path / "ticket.safetensors")
    assert read.packed.zero_words == dead
    texts = ["an unknown word", " ".join(dead[:3]), f"w2 {dead[0]} unknown", ""]
    np.testing.assert_array_equal(read.logits(texts), Ticket(packed).logits(texts))
    assert read.ids([f"{dead[0]} unknown"])[0].tolist() == [PADDING, 0]
    write_tokenizer(smaller, tmp_path / "tokenizer.json", dead)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for text in texts[:3]:
        assert tokenizer.encode(text).ids == read.ids([text])[0].tolist()


def test_words_stay_where_neither_the_unknown_word_nor_padding_is_zero():
    network, ticket = cnn(0.3)
    with torch.no_grad():
        network.embedding.weight[:2] = 1.0  # pyright: ignore
    ticket.mask["embedding.weight"][:2] = True
    stay = assert_same_logits(network, ticket).vocabulary
    assert stay == [*ticket.vocabulary[:2], *sorted(ticket.vocabulary[2:])]


def test_a_ticket_without_a_dead_part_is_not_changed():
    _, ticket = cnn(1.0)
    shrunk = shrink(ticket)
    assert shrunk.cuts == ()
    assert shrunk.ticket is ticket


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, run_settings: Any) -> Path:
    """A run that pruned rows of a CNN."""
    from trials.kills import write_corpus

    corpus = write_corpus(tmp_path_factory.mktemp("data") / "corpus", train=90, test=41, classes=2, shortest=1)
    return run_settings(
        ["data=files", f"data.path={corpus}", "trainer=cpu", "embedding.dim=6", "trainer.max_epochs=1"],
        "model=cnn", "model.filters=6", "pruning.rounds=1", "pruning.amount=0.6", "pruning.pattern=rows",
        "pruning.exclude=[fc.*]", "seed=3",
    )  # fmt: skip


def test_the_command_prints_what_was_cut_and_every_file_gives_the_same_answers(run, tmp_path, capsys):
    onnxruntime = pytest.importorskip("onnxruntime")
    whole, small = tmp_path / "whole/whole.safetensors", tmp_path / "small.safetensors"
    assert main([str(run), "-o", str(whole)]) == 0
    capsys.readouterr()
    assert main([str(run), "--shrink", "--onnx", "--state-dict", "-o", str(small)]) == 0
    out = capsys.readouterr().out
    assert "shrunk   filters 18 → 6\n" in out  # of 6 each, round(0.6 · 6) = 4 go
    assert f" → {4 * cut_size(out):,}\n" in next(line + "\n" for line in out.splitlines() if "bytes of dense" in line)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "| cut smaller | filters 18 → 6, words " in card
    assert "pruning.ticket" not in card
    texts = ["", "cat", "bread cat dog cheese soup", *[f"the {word} is good" for word in NAMES]]
    uncut, cut = Ticket.load(whole), Ticket.load(small)
    np.testing.assert_allclose(cut.logits(texts), uncut.logits(texts), rtol=0, atol=1e-5)
    dense = load_file(small.with_name("small_dense.safetensors"))
    assert sum(weight.nbytes for weight in map(Tensor.numpy, dense.values())) == 4 * cut_size(out)
    tokenizer = Tokenizer.from_file(str(small.with_name("small_tokenizer.json")))
    assert tokenizer.get_vocab_size() == len(dense["embedding.weight"])
    session = onnxruntime.InferenceSession(small.with_name("small.onnx"), providers=["CPUExecutionProvider"])
    for text in texts[1:]:
        ids = np.array([tokenizer.encode(text).ids], np.int64)
        (logits,) = session.run(["logits"], {"ids": ids, "lengths": np.array([ids.shape[1]])})
        np.testing.assert_allclose(logits, uncut.logits([text]), rtol=0, atol=1e-5)


def cut_size(out: str) -> int:
    line = next(line for line in out.splitlines() if "parameters" in line)
    return int(line.split("→")[1].replace(",", ""))


def test_a_ticket_with_nothing_to_cut_says_so(run, tmp_path, capsys):
    path = tmp_path / "whole.safetensors"
    assert main([str(run), "--round", "0", "-o", str(path)]) == 0
    capsys.readouterr()
    assert main([str(run), "--round", "0", "--shrink", "-o", str(tmp_path / "same.safetensors")]) == 0
    assert "shrunk   nothing to cut" in capsys.readouterr().out
    assert (tmp_path / "same.safetensors").read_bytes() == path.read_bytes()
