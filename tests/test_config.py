"""The configuration tree and what it refuses."""

import dataclasses
import inspect
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import pytorch_lightning as pl
import yaml
from hydra import compose, initialize_config_dir
from hydra.types import RunMode

from lt_lightning.config.folder import config_folder
from lt_lightning.config.schema import Config, PruningConfig, TrainerConfig, register_schema
from lt_lightning.config.sources import Names, Texts
from lt_lightning.errors import SettingError
from lt_lightning.lottery import CRITERIA, Settings

CONF = Path(config_folder())


def test_every_argument_of_lightnings_trainer_is_a_setting() -> None:
    arguments = set(inspect.signature(pl.Trainer.__init__).parameters) - {"self"}
    assert {field.name for field in dataclasses.fields(TrainerConfig)} == arguments


def test_the_lotterys_defaults_and_the_configurations_are_the_same(configure: Callable[..., Config]) -> None:
    pruning, defaults = vars(configure().pruning), Settings()
    for field in dataclasses.fields(Settings):
        if field.name != "seed":
            default = getattr(defaults, field.name)
            assert pruning[field.name] == (list(default) if isinstance(default, tuple) else default)
    assert {field.name for field in dataclasses.fields(PruningConfig)} - {"rounds", "ticket"} < {
        field.name for field in dataclasses.fields(Settings)
    }


@pytest.mark.slow
def test_defaults_are_those_of_the_design(configure: Callable[..., Config]) -> None:
    config = configure()
    assert (config.data.name, config.embedding.name, config.model.name) == ("PyDocs", "random", "multi_cnn")
    assert (config.data.batch_size, config.data.valid_fraction, config.data.max_vocab) == (64, 0.3, 50_000)
    assert (config.pruning.rounds, config.pruning.amount, config.test_on.value) == (20, 0.2, "last")


@pytest.mark.slow
def test_glove_halves_the_vocabulary_unless_told_otherwise(configure: Callable[..., Config]) -> None:
    assert configure("embedding=glove").data.max_vocab == 25_000
    assert configure("embedding=glove", "data.max_vocab=99").data.max_vocab == 99


@pytest.mark.parametrize(("experiment", "data", "model", "embedding", "epochs", "std", "lr", "test_on"), [
    ("lt_agnews", "AG News", "cnn", "random", 10, 0.1, 2e-3, "best"),
    ("lt_agnews_lstm", "AG News", "birnn", "glove", 10, 1.0, 1e-3, "last"),
    ("lt_imdb", "IMDB", "cnn", "random", 20, 0.1, 2e-3, "best"),
    ("lt_imdb_lstm", "IMDB", "birnn", "glove", 20, 1.0, 5e-3, "best"),
    ("notebook", "AG News", "cnn", "random", 10, 1.0, 1e-3, "last"),
])  # fmt: skip
def test_experiments_are_what_the_documents_say(
    configure: Callable[..., Config],
    experiment: str, data: str, model: str, embedding: str, epochs: int, std: float, lr: float, test_on: str,
) -> None:  # fmt: skip
    config = configure(f"+experiment={experiment}")
    assert (config.name, config.data.name, config.model.name) == (experiment, data, model)
    assert (config.embedding.name, config.trainer.max_epochs, config.test_on.value) == (embedding, epochs, test_on)
    assert (config.optimizer.name, config.optimizer.lr, config.data.batch_size) == ("adam", lr, 64)
    assert config.embedding.std == std
    assert (config.pruning.rounds, config.pruning.amount, config.pruning.rewind) == (20, 0.2, "init")


@pytest.mark.parametrize(("experiment", "data", "model", "rounds", "amount", "lr", "pieces"), [
    ("lt_agnews_bert", "AG News", "bert", 9, 0.1, 2e-5, 128),
    ("lt_imdb_bert", "IMDB", "bert", 9, 0.1, 2e-5, 256),
    ("bert_quickstart", "PyDocs", "minilm", 4, 0.15, 1e-4, 64),
])  # fmt: skip
def test_experiments_with_encoders_are_what_the_documents_say(
    configure, experiment, data, model, rounds, amount, lr, pieces
):
    config = configure(f"+experiment={experiment}")
    assert (config.name, config.data.name, config.model.name) == (experiment, data, model)
    assert (config.data.tokenizer.value, config.data.max_length, config.embedding) == ("model", pieces, None)
    assert (config.optimizer.name, config.optimizer.lr, config.scheduler.name) == ("adamw", lr, "linear_warmup")
    pruning = config.pruning
    assert (pruning.rounds, pruning.amount, pruning.amount_of, pruning.scope) == (rounds, amount, "all", "global")
    assert (pruning.rewind, pruning.include) == ("init", ["encoder.*.layer.*.weight"])
    assert pruning.exclude == ["*[Nn]orm.weight"]


@pytest.mark.parametrize("overrides", [[], ["+experiment=lt_agnews"], ["data=files", "data.path=."]])
def test_an_encoder_in_place_of_words_takes_one_setting(configure, overrides):
    config = configure(*overrides, "model=minilm")
    assert (config.model.name, config.data.tokenizer.value, config.embedding) == ("minilm", "model", None)


def test_built_in_corpora_alone_have_groups_unless_a_column_is_named(configure):
    found = [
        Texts(name="PyDocs"),
        Names(),
        Texts(name="PyDocs", path="corpus"),
        Texts(name="IMDB", hub="imdb"),
        Texts(),
    ]
    assert [one.find_group_column() for one in found] == [None] * 5
    automatic = [dataclasses.replace(one, group_column="auto").find_group_column() for one in found]
    assert automatic == ["group", "group", None, None, None]
    assert dataclasses.replace(found[0], group_column="film").find_group_column() == "film"
    assert configure().data.group_column == "group"


def test_a_tokenizer_that_is_not_set_is_what_the_model_reads(configure):
    assert configure().data.tokenizer.value == "words"
    assert configure("data=names", "model=birnn").data.tokenizer.value == "letters"
    assert configure("data=names", "data.tokenizer=model", "model=minilm").data.tokenizer.value == "model"


@pytest.mark.slow
@pytest.mark.parametrize(("overrides", "model", "embedding", "std"), [
    (["data=files"], "cnn", "random", 0.1),
    (["data=files", "model=multi_cnn", "embedding.std=1.0"], "multi_cnn", "random", 1.0),
    (["model=birnn", "data=files"], "birnn", "random", 0.1),
    (["data=files", "embedding=glove"], "cnn", "glove", 0.1),
    (["+experiment=names", "data=files", "data.tokenizer=letters"], "birnn", "random", 0.1),
    (["+experiment=lt_agnews_lstm", "data=files"], "birnn", "glove", 0.1),
    (["data=agnews"], "multi_cnn", "random", 1.0),
])  # fmt: skip
def test_own_texts_come_with_a_model_that_fits_any_classes(configure, overrides, model, embedding, std):
    config = configure(*overrides, "data.path=.")
    assert (config.model.name, config.embedding.name, config.embedding.std) == (model, embedding, std)


BRANCHES = {"study_controls", "study_bert_controls"}
"""The experiments that retrain the tickets of another run, branch.of=RUN."""
SEARCHES = {"study_search"}
ALGORITHMS = {"study_criteria", "study_imp", "study_controls"}
"""The studies of algorithms; the others are of rewinds, or of encoders."""
ENCODERS = {"study_bert", "study_bert_controls", "study_bert_movement"}
"""The studies of pre-trained encoders."""
PAIRS = {"hihello", "seq2seq", "study_hihello", "study_seq2seq"}
"""The experiments that answer strings with strings: other texts are nothing to them."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "experiment", sorted({path.stem for path in (CONF / "experiment").glob("*.yaml")} - PAIRS - BRANCHES)
)
@pytest.mark.parametrize("data", ["pydocs", "agnews", "imdb"])
def test_any_experiment_runs_on_other_data_with_one_more_word(configure, experiment, data):
    given = ["pruning.ticket=FILE"] if experiment.startswith("transfer") else []
    config = configure(f"+experiment={experiment}", f"data={data}", *given)
    assert config.data.name == {"pydocs": "PyDocs", "agnews": "AG News", "imdb": "IMDB"}[data]
    assert config.model.name in ("cnn", "birnn", "char_lm", "minilm", "bert")  # these fit any number of classes


@pytest.mark.slow
@pytest.mark.parametrize("data", ["pairs", "reversal"])
@pytest.mark.parametrize("experiment", sorted(PAIRS))
def test_experiments_with_strings_run_on_other_strings(configure, experiment, data):
    config = configure(f"+experiment={experiment}", f"data={data}", "data.alphabet=hielo")
    assert config.data.kind.value == data


@pytest.mark.parametrize(
    ("experiment", "rounds", "epochs", "lr", "cell"),
    [("hihello", 10, 100, 0.1, "rnn"), ("names", 6, 15, 0.003, "gru"),
     ("char_lm", 4, 3, 0.005, "gru"), ("seq2seq", 4, 10, 0.003, "lstm")],
)  # fmt: skip
def test_recurrent_experiments_are_what_the_documents_say(configure, experiment, rounds, epochs, lr, cell):
    config = configure(f"+experiment={experiment}")
    assert (config.pruning.rounds, config.trainer.max_epochs) == (rounds, epochs)
    assert (config.optimizer.name, config.optimizer.lr, config.model.cell) == ("adam", lr, cell)


@pytest.mark.slow
def test_bilstm_is_one_setting_of_birnn(configure: Callable[..., Config]) -> None:
    assert configure("model=bilstm").model == configure("model=birnn", "model.cell=lstm").model


@pytest.mark.slow
def test_a_kernel_is_one_of_two(configure: Callable[..., Config]) -> None:
    assert configure("model=bilstm").model.kernel == "fast"
    assert configure("model=bilstm", "model.kernel=reference").model.kernel == "reference"
    with pytest.raises(SettingError, match=r"model\.kernel: quick is none of fast, reference"):
        configure("model=bilstm", "model.kernel=quick")


@pytest.mark.parametrize(
    "study",
    sorted({path.stem for path in (CONF / "experiment").glob("study_*.yaml")} - ALGORITHMS - ENCODERS - SEARCHES),
)
def test_a_study_sweeps_three_rewinds_and_at_least_three_seeds_without_a_flag(study: str) -> None:
    register_schema()
    with initialize_config_dir(config_folder(), version_base="1.3"):
        hydra = compose("config", [f"+experiment={study}"], return_hydra_config=True).hydra
    assert hydra.mode == RunMode.MULTIRUN
    assert hydra.sweeper.params["pruning.rewind"] == "init,last,random"
    assert len(set(hydra.sweeper.params.seed.split(","))) >= 3


@pytest.mark.slow
def test_the_studies_of_algorithms_meet_at_four_densities(configure: Callable[..., Config]) -> None:
    with initialize_config_dir(config_folder(), version_base="1.3"):
        hydra = {
            name: compose("config", [f"+experiment={name}"], return_hydra_config=True).hydra for name in ALGORITHMS
        }
    assert {one.mode for one in hydra.values()} == {RunMode.MULTIRUN}
    params = hydra["study_criteria"].sweeper.params
    reached = math.prod(1 - share for share in configure("+experiment=study_imp").pruning.amount)
    densities = sorted(map(float, params["pruning.density"].split(",")))
    assert densities[0] == pytest.approx(reached, rel=1e-3)
    assert (len(densities), params.seed, hydra["study_imp"].sweeper.params.seed) == (4, "0,1,2", "0,1,2")
    for algorithm in params.pruning.split(","):
        config = configure("+experiment=study_criteria", f"pruning={algorithm}", "pruning.density=0.05")
        assert config.pruning.schedule != "rounds"
    assert set(hydra["study_controls"].sweeper.params) == {"pruning.mask", "pruning.rewind"}


def test_the_studies_of_encoders_have_controls_and_a_comparison_of_criteria() -> None:
    register_schema()
    with initialize_config_dir(config_folder(), version_base="1.3"):
        hydra = {name: compose("config", [f"+experiment={name}"], return_hydra_config=True).hydra for name in ENCODERS}
    assert {one.mode for one in hydra.values()} == {RunMode.MULTIRUN}
    assert {name: dict(one.sweeper.params) for name, one in hydra.items()} == {
        "study_bert": {"seed": "0,1,2"},
        "study_bert_controls": {"pruning.mask": "shuffle,random"},
        "study_bert_movement": {
            "pruning.criterion": "magnitude,movement", "pruning.density": "0.15,0.1", "seed": "0,1,2",
        },
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("experiment", "study"), [(f"transfer_{of}", f"study_{of}") for of in ("imdb", "agnews")])
def test_a_transfer_is_its_study_without_rounds_and_asks_for_a_ticket(configure, experiment, study):
    with pytest.raises(SettingError, match=r"^pruning\.ticket: missing; .* lt_lightning\.export RUN"):
        configure(f"+experiment={experiment}")
    config = configure(f"+experiment={experiment}", "pruning.ticket=t_${seed}.safetensors", "seed=2")
    assert (config.pruning.ticket, config.pruning.rounds) == ("t_2.safetensors", 0)
    like = configure(f"+experiment={study}", "seed=2")
    like.name, like.pruning.rounds, like.pruning.ticket = experiment, 0, config.pruning.ticket
    assert config == like
    with initialize_config_dir(config_folder(), version_base="1.3"):
        hydra = compose("config", [f"+experiment={experiment}"], return_hydra_config=True).hydra
    assert hydra.mode == RunMode.MULTIRUN
    assert hydra.sweeper.params == {"pruning.rewind": "init,random", "seed": "0,1,2"}


def test_every_key_has_a_comment() -> None:
    for path in CONF.rglob("*.yaml"):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert any(line.startswith("#") for line in lines) or "hydra" in path.parts, f"{path} does not say what it is"
        if path.parent.name in ("data", "embedding", "model", "optimizer", "pruning", "scheduler"):
            values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
            for key in set(values) - {"defaults", "name", "hub", "hub_file", "class_names"}:
                (line,) = [line for line in lines if line.startswith(f"{key}:")]
                assert "#" in line, f"{path}: {key} has no comment"


@pytest.mark.slow
@pytest.mark.parametrize(("override", "said"), [
    ("pruning.amount=0", "pruning.amount: 0 is not between 0 and 1"),
    ("pruning.amount=1", "pruning.amount: 1 is not between 0 and 1"),
    ("pruning.amount=-0.2", "pruning.amount: -0.2 is not between 0 and 1"),
    ("pruning.rounds=-1", "pruning.rounds: -1 is too small: it must be at least 0"),
    (
        "pruning.criterion=size",
        f"pruning.criterion: 'size' is none of {', '.join(CRITERIA)}, and not the dotted path",
    ),
    ("+metrics.acc._target_=my.Metric", "metrics: 'acc' cannot name a new column: use letters, digits and _"),
    ("+metrics={a-b: {_target_: my.Metric}}", "metrics: 'a-b' cannot name a new column"),
    ("+metrics={k: 3}", "metrics.k: 3 is not an object; give metrics.NAME._target_=CLASS"),
    ("metric=test_kappa", "metric: 'test_kappa' is none of test_acc, "),
    ("pruning.scope=net", "pruning.scope: 'net' is none of layerwise, global"),
    ("pruning.rewind=epoch", "pruning.rewind: 'epoch' is none of init, epoch:K, step:K, last, random, shuffle, none"),
    ("pruning.rewind=epoch:11", "pruning.rewind: epoch:11 lies beyond the 10 epochs of round 0"),
    ("pruning.include=[]", "pruning.include: no pattern"),
    ("pruning.redraw=[]", "pruning.redraw: no pattern"),
    ("model.initializer=he", "model.initializer: he is none of xavier, xavier_2d"),
    ("data.valid_fraction=1.0", "data.valid_fraction: 1.0 is not between 0 and 1"),
    ("data.batch_size=0", "data.batch_size: 0 is too small"),
    ("data.limit=0", "data.limit: 0 is too small"),
    ("data.max_length=0", "data.max_length: 0 is too small"),
    ("model.dropout=1.0", "model.dropout: 1.0 is not between 0 (included) and 1"),
    ("model.widths=[]", "model.widths: [] is not a list of widths"),
    ("model.cell=gru", "model.cell: model=multi_cnn does not read it"),
    ("data.pairs=[[a,b]]", "data.pairs: data.kind=texts does not read it"),
    ("data.split_names=true", "data.split_names: data.kind=texts does not read it; it reads "),
    ("model.filters=null", "model.filters: null is not allowed; give another value"),
    ("optimizer.lr=0", "optimizer.lr: 0.0 is not above 0"),
    ("embedding.std=0", "embedding.std: 0.0 is not above 0"),
    ("optimizer.momentum=0.9", "optimizer.momentum: optimizer=adam does not read it"),
    ("optimizer.betas=[0.9]", "optimizer.betas: [0.9] is not a pair of numbers"),
    ("early_stopping.patience=0", "early_stopping.patience: 0 is too small"),
    ("trainer.use_distributed_sampler=true", "trainer.use_distributed_sampler: True is not possible here"),
    ("trainer.overfit_batches=0", "trainer.overfit_batches: 0 is not possible here"),
    ("trainer.val_check_interval=0.5", "trainer.val_check_interval: 0.5 is not possible here"),
    ("trainer.limit_val_batches=0", "trainer.limit_val_batches: 0 is not possible here"),
    ("trainer.limit_test_batches=0.0", "trainer.limit_test_batches: 0.0 is not possible here"),
    ("trainer.barebones=true", "trainer.barebones: True is not possible here"),
    ("trainer.strategy=deepspeed_stage_2", "deepspeed_stage_2 is not supported: it shards parameters"),
    (
        "trainer.strategy={_target_: pytorch_lightning.strategies.FSDPStrategy}",
        "trainer.strategy: pytorch_lightning.strategies.FSDPStrategy is not supported: it shards parameters",
    ),
    (
        "trainer.strategy={_target_: pytorch_lightning.strategies.ModelParallelStrategy}",
        "ModelParallelStrategy is not supported: it shards parameters",
    ),
    (
        "trainer.strategy={_target_: pytorch_lightning.strategies.DDPStrategy, start_method: spawn}",
        "DDPStrategy is not supported: it starts processes in its own way",
    ),
    ("trainer.strategy=ddp_spawn", "trainer.strategy: ddp_spawn is not supported"),
    ("embedding.path=glove.txt", "embedding.path: embedding=random does not read it; it reads dim, std, max_vocab"),
    ("data.hub=fancyzhx/ag_news", "data.hub: fancyzhx/ag_news is not what data=pydocs reads"),
    ("trainer.max_epochs=0", "trainer.max_epochs: 0 is too small"),
])  # fmt: skip
def test_a_value_out_of_range_is_refused_by_name(configure: Callable[..., Config], override: str, said: str) -> None:
    with pytest.raises(SettingError) as error:
        configure(override)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize(("experiment", "override", "said"), [
    ("hihello", "model.cell=elman", "model.cell: elman is none of rnn, gru, lstm, gru_chung, none"),
    ("names", "model.cell=none", "model.cell: none is none of rnn, gru, lstm, gru_chung"),
    ("hihello", "model.cell=gru_chung", "model.backend: torch is without gru_chung; use model.backend=equations"),
    ("hihello", "model.input=glove", "model.input: glove is none of onehot, embedding"),
    ("hihello", "model.head=softmax", "model.head: softmax is none of direct, linear"),
    ("hihello", "model.unroll=no", "model.unroll: no is none of steps, sequence"),
    ("hihello", "model.backend=jax", "model.backend: jax is none of torch, equations"),
    ("hihello", "model.layers=0", "model.layers: 0 is too small"),
    ("hihello", "model.dropout=0.5", "model.dropout: model=tagger does not read it"),
    ("hihello", "embedding=glove_50d", "embedding: glove_50d has vectors of words"),
    ("hihello", "data.valid_fraction=0.5", "data.valid_fraction: data.kind=pairs does not read it"),
    ("hihello", "data.pairs=[['','']]", "data.pairs: "), ("hihello", "data.pairs=[[hallo,alloh]]", "'a'"),
    ("hihello", "data.pairs=[[hello]]", "data.pairs: "), ("hihello", "data.pairs=[]", "data.pairs: "),
    ("hihello", "data.pairs=[[null,true]]", "data.pairs: [None, True] is not two strings"),
    ("hihello", "data.pairs=hello", "data.pairs: "), ("hihello", "data.pairs=7", "data.pairs: "),
    ("hihello", "data.pairs=null", "data.pairs: it is empty"),
    ("hihello", "data.alphabet=hhielo", "data.alphabet: "), ("seq2seq", "data.lengths=[5,4]", "data.lengths: "),
    ("seq2seq", "data.lengths=[5]", "data.lengths: "), ("seq2seq", "data.lengths=[1,2]", "data.train_rows: "),
    ("seq2seq", "data.alphabet=''", "data.alphabet: "),
    ("seq2seq", "data.train_rows=0", "data.train_rows: 0 is too small"),
    ("seq2seq", "data.train_rows=1000000000", "are more than 10,000,000; use fewer"),
    ("names", "data.path=here", "data.path: data.kind=names does not read it"),
    ("char_lm", "model.temperature=-1", "model.temperature: -1.0 is not a finite number from 0 on"),
    ("char_lm", "model.temperature=inf", "model.temperature: inf is not a finite number from 0 on"),
    ("char_lm", "model.sample_length=0", "model.sample_length: 0 is too small"),
    ("char_lm", "model.bidirectional=true", "model.bidirectional: model=char_lm does not read it"),
])  # fmt: skip
def test_what_a_recurrent_experiment_cannot_be_is_refused_by_name(configure, experiment, override, said):
    with pytest.raises(SettingError) as error:
        configure(f"+experiment={experiment}", override)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


CODE = """
import sys
import lt_lightning.train
from hydra import compose, initialize_config_dir
from lt_lightning.experiment.hydra_main import config_folder
from lt_lightning.config.validation import read_config
from lt_lightning.config.schema import register_schema
register_schema()
with initialize_config_dir(config_folder(), version_base="1.3"):
    for experiment in sys.argv[1:]:
        read_config(compose("config", [f"+experiment={experiment}"]))
print(*sys.modules)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("experiments", "unloaded"), [
    (["lt_imdb"], {"numpy"}),
    (["lt_imdb", "hihello", "seq2seq"], {"torch", "pytorch_lightning", "datasets", "matplotlib", "tokenizers"}),
])  # fmt: skip
def test_the_configuration_is_checked_without_heavy_libraries(experiments: list[str], unloaded: set[str]) -> None:
    ran = subprocess.run([sys.executable, "-c", CODE, *experiments], capture_output=True, text=True, check=True)
    assert not unloaded & set(ran.stdout.split())
