"""`Learner.load_from_checkpoint(path)` gives back the network that a run trained, and runs no code of the file."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from lt_lightning.config.encoders import Bert
from lt_lightning.config.optimizers import AdamW
from lt_lightning.config.schema import Config
from lt_lightning.data.sources.encoders import find_encoder
from lt_lightning.errors import SettingError
from lt_lightning.experiment.round_checkpoint import kept_checkpoints
from lt_lightning.models import Learner, build_learner
from trials.encoders import write_encoder

WORDS, CLASSES = 30, 3
IDS, LENGTHS = torch.arange(2, 20).reshape(2, 9), torch.tensor([9, 4])


class OwnNetwork(nn.Module):
    """A network of a user."""

    def __init__(self, words: int, classes: int, width: int = 2) -> None:
        super().__init__()
        self.table = nn.Embedding(words, width)
        self.fc = nn.Linear(width, classes)

    def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return self.fc(self.table(ids).mean(1))


def trainer(**settings: Any) -> pl.Trainer:
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return pl.Trainer(accelerator="cpu", **{**quiet, **settings})


def saved(learner: Learner, path: Path) -> Path:
    """Save a checkpoint of a learner."""
    own = trainer()
    own.strategy.connect(learner)
    own.save_checkpoint(path, weights_only=False)
    return path


def build(config: Config, **sizes: Any) -> Learner:
    torch.manual_seed(1)
    return build_learner(
        config.model,
        config.embedding,
        config.optimizer,
        **{"words": WORDS, "classes": CLASSES, **sizes},
        scheduler=config.scheduler,
        metrics=config.metrics,
        class_names=["a", "b", "c"],
    )


@pytest.fixture
def own(configure: Callable[..., Config], tmp_path: Path) -> Path:
    """A checkpoint with a network, an optimizer and a metric by `_target_`."""
    config = configure(
        "model=custom", f"model._target_={__name__}.OwnNetwork", "+model.width=4", "optimizer=custom",
        "optimizer._target_=torch.optim.RMSprop", "optimizer.lr=0.25",
    )  # fmt: skip
    return saved(build(config), tmp_path / "own.ckpt")


@pytest.mark.parametrize(
    ("model", "sizes"),
    [
        ("cnn", {}),
        ("cnn", {"classes": 2}),
        ("birnn", {}),
        ("bilstm", {}),
        ("tagger", {}),
        ("char_lm", {}),
        ("seq2seq", {}),
    ],
)
def test_a_checkpoint_alone_builds_the_network(configure, tmp_path, model, sizes):
    settings = ["embedding.dim=8", "embedding.std=0.1"] if model in ("cnn", "birnn", "bilstm", "char_lm") else []
    data = {"tagger": ["data=reversal"], "seq2seq": ["data=reversal"], "char_lm": ["data.tokenizer=letters"]}.get(
        model, []
    )
    more = ["model.filters=4"] if model == "cnn" else ["model.hidden=6"]
    config = configure(f"model={model}", *settings, *(more if model != "tagger" else []), *data, "scheduler=cosine")
    learner = build(config, **sizes)
    path = saved(learner, tmp_path / "a.ckpt")
    before = torch.get_rng_state()
    loaded = Learner.load_from_checkpoint(path)
    assert torch.equal(torch.get_rng_state(), before)
    assert type(loaded.network) is type(learner.network)
    assert loaded.task == learner.task
    expected = learner.state_dict()
    assert loaded.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in loaded.state_dict().items())
    assert loaded.hparams == learner.hparams
    assert loaded.hparams["description"]["class_names"] == ["a", "b", "c"]
    if learner.task.name == "classification":
        assert torch.equal(loaded.eval()(IDS, LENGTHS), learner.eval()(IDS, LENGTHS))


def test_a_checkpoint_of_an_encoder_needs_no_other_file(tmp_path):
    pytest.importorskip("transformers")
    folder = write_encoder(tmp_path / "encoder", "bert")
    model = Bert(path=str(folder), pooling="cls")
    files = find_encoder(model)
    learner = build_learner(
        model, None, AdamW(), words=0, classes=CLASSES, encoder=files, max_length=files.max_length(None)
    )
    path = saved(learner, tmp_path / "a.ckpt")
    folder.rename(tmp_path / "gone")
    loaded = Learner.load_from_checkpoint(path).eval()
    assert torch.equal(loaded(IDS, LENGTHS), learner.eval()(IDS, LENGTHS))


def test_classes_that_a_file_names_are_imported_only_on_request(own, monkeypatch):
    with pytest.raises(SettingError) as raised:
        Learner.load_from_checkpoint(own)
    assert str(raised.value) == (
        f"{own}: its network is of '{__name__}.OwnNetwork', a class that is not this package's; give trust=True to "
        "import it, if you trust the file"
    )
    loaded = Learner.load_from_checkpoint(own, trust=True)
    assert isinstance(loaded.network, OwnNetwork)
    optimizer = loaded.configure_optimizers()
    assert isinstance(optimizer, torch.optim.RMSprop)
    assert optimizer.defaults["lr"] == 0.25


def test_an_optimizer_that_a_file_names_is_not_made_unasked(configure, tmp_path):
    config = configure(
        "model=cnn", "model.filters=4", "embedding.dim=8", "optimizer=custom", "optimizer._target_=torch.optim.RMSprop"
    )
    learner = build(config)
    path = saved(learner, tmp_path / "a.ckpt")
    loaded = Learner.load_from_checkpoint(path)
    assert torch.equal(loaded.eval()(IDS, LENGTHS), learner.eval()(IDS, LENGTHS))
    with pytest.raises(SettingError, match=r"a\.ckpt: it was trained with 'torch\.optim\.RMSprop', .* trust=True"):
        loaded.configure_optimizers()
    trusted = Learner.load_from_checkpoint(path, trust=True)
    assert isinstance(trusted.configure_optimizers(), torch.optim.RMSprop)
    assert loaded.hparams == trusted.hparams  # saved again, it says what was trained


def test_arguments_are_taken_as_lightning_takes_them(configure, tmp_path):
    learner = build(configure("model=cnn", "model.filters=4", "embedding.dim=8"))
    path = saved(learner, tmp_path / "a.ckpt")
    network = build(configure("model=cnn", "model.filters=4", "embedding.dim=8")).network
    loaded = Learner.load_from_checkpoint(path, network=network, classes=CLASSES, optimizer=torch.optim.SGD)
    assert loaded.network is network
    assert isinstance(loaded.configure_optimizers(), torch.optim.SGD)
    assert torch.equal(network.state_dict()["fc.weight"], learner.network.state_dict()["fc.weight"])


class Trap:
    def __reduce__(self) -> Any:
        return print, ("code of the file runs",)


def _changed(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)


def _described(**values: Any) -> Callable[[Path], None]:
    return lambda path: _changed(path, lambda content: content["hyper_parameters"]["description"].update(values))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (Path.unlink, "no such file; give a checkpoint"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "not a checkpoint, or damaged ("),
        (lambda path: path.write_bytes(b""), "not a checkpoint, or damaged ("),
        (lambda path: path.write_text("# no checkpoint"), "not a checkpoint, or damaged ("),
        (lambda path: path.write_bytes(pickle.dumps(Trap())), "not a checkpoint, or damaged ("),
        (
            lambda path: torch.save({"state_dict": {}, "x": Trap()}, path),
            "holds an object of print, which could run",
        ),
        (lambda path: torch.save([1], path), "not a checkpoint; give one"),
        (lambda path: torch.save({"state_dict": {}}, path), "not a checkpoint of a Learner that describes its network"),
        (lambda path: _changed(path, lambda content: content["state_dict"].clear()), "has no weights"),
        (lambda path: _changed(path, lambda content: content["state_dict"].popitem()), "its weights are not those of"),
        (lambda path: _changed(path, lambda content: content.update(lt_lightning={"tensors": 3})), "damaged ("),
        (_described(words=10), "its weights are not those of the network that it describes (Error"),
        (_described(words=-1), "its description is not whole (-1 is no size)"),
        (_described(words=2**31 - 1), "its network cannot be built ("),
        (_described(model={"name": "cnn", "filters": "many"}), "model.filters: "),
        (_described(model={"name": "none"}), "model.name: 'none' is none of"),
        (_described(model=3), "its description is not whole ("),
        (_described(class_names="${oc.env:HOME}"), "its settings hold '${oc.env:HOME}', a computed value"),
    ],
)
def test_a_file_that_is_no_sound_checkpoint_is_one_line(configure, tmp_path, capsys, damage, said):
    config = configure("model=cnn", "model.filters=4", "embedding.dim=8")
    path = saved(build(config), tmp_path / "a.ckpt")
    damage(path)
    with pytest.raises(SettingError) as raised:
        Learner.load_from_checkpoint(path)
    line = str(raised.value)
    assert line.startswith(f"{path}: {said}")
    assert "\n" not in line
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_checkpoints_of_a_run_give_its_network(play_small, tmp_path, monkeypatch):
    """Those in `state/` refer to a file of the run; those that a callback of the user's saves do not."""
    run, met = tmp_path / "run", []
    start = Learner.on_train_epoch_start

    def compare(learner: Learner) -> None:
        start(learner)
        for path in kept_checkpoints(run / "state"):
            loaded = Learner.load_from_checkpoint(path)
            expected = learner.state_dict()
            assert all(torch.equal(value, expected[name]) for name, value in loaded.state_dict().items())
            learner.trainer.save_checkpoint(tmp_path / "own.ckpt", weights_only=False)
            whole = Learner.load_from_checkpoint(tmp_path / "own.ckpt")
            assert all(torch.equal(value, expected[name]) for name, value in whole.state_dict().items())
            met.append("lt_lightning" in torch.load(path, weights_only=True))

    monkeypatch.setattr(Learner, "on_train_epoch_start", compare)
    play_small(run, "pruning.rounds=1", epochs=2)
    assert met == [True, True]
