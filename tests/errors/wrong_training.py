"""Settings that only the data, the network or the machine can refuse."""

from observing import Case, Kind, train
from samples import CSV, LOG, corpus_case, make_corpus

BEGUN = (*LOG, "run/run.json")
"""What a run leaves that stopped in its first round."""

CASES = (
    corpus_case(
        "no such machine: `trainer.accelerator=abacus`", CSV, ["trainer", "abacus"], "trainer.accelerator=abacus"
    ),
    corpus_case("no device: `trainer.devices=0`", CSV, ["trainer", "devices=0"], "trainer.devices=0"),
    corpus_case("no such precision: `trainer.precision=17`", CSV, ["trainer", "17"], "trainer.precision=17"),
    corpus_case(
        "no such clipping: `trainer.gradient_clip_algorithm=some`",
        CSV,
        ["trainer", "some"],
        "trainer.gradient_clip_algorithm=some",
    ),
    corpus_case("no such duration: `trainer.max_time=soon`", CSV, ["trainer", "soon"], "trainer.max_time=soon"),
    corpus_case(
        "a callback from nowhere",
        CSV,
        ["trainer.callbacks[0]", "nowhere.Thing", "no module nowhere"],
        "trainer.callbacks=[{_target_:nowhere.Thing}]",
    ),
    corpus_case(
        "a mistyped argument of a schedule",
        CSV,
        ["scheduler", "ExponentialLR", "did you mean gamma?"],
        "scheduler=custom",
        "scheduler._target_=torch.optim.lr_scheduler.ExponentialLR",
        "+scheduler.gama=0.9",
        leaves=BEGUN,
    ),
    corpus_case(
        "a mistyped callback",
        CSV,
        ["trainer.callbacks[0]", "did you mean ModelSummary?"],
        "trainer.callbacks=[{_target_:pytorch_lightning.callbacks.ModelSumary}]",
    ),
    corpus_case(
        "a mistyped argument of a callback",
        CSV,
        ["trainer.callbacks[0]", "did you mean duration?"],
        "trainer.callbacks=[{_target_:pytorch_lightning.callbacks.Timer,durations:00.01.00.00}]",
    ),
    corpus_case(
        "a logger whose package is missing",
        CSV,
        ["trainer.logger", "comet-ml", "pip install"],
        "trainer.logger={_target_:pytorch_lightning.loggers.CometLogger}",
    ),
    corpus_case(
        "an object that is no logger",
        CSV,
        ["trainer.logger", "dict", "Logger"],
        "trainer.logger={_target_:builtins.dict}",
    ),
    corpus_case(
        "an object that is no callback",
        CSV,
        ["trainer.callbacks[0]", "dict", "Callback"],
        "trainer.callbacks=[{_target_:builtins.dict}]",
    ),
    corpus_case(
        "a callback that prunes by itself",
        CSV,
        ["trainer.callbacks", "ModelPruning", "pruning.amount"],
        "trainer.callbacks=[{_target_:pytorch_lightning.callbacks.ModelPruning,pruning_fn:l1_unstructured}]",
    ),
    corpus_case(
        "less than a batch: `trainer.limit_train_batches=0.01`",
        CSV,
        ["limit_train_batches"],
        "trainer.limit_train_batches=0.01",
        leaves=BEGUN,
    ),
    corpus_case(
        "no time: `trainer.max_time=00:00:00:00`",
        CSV,
        ["trainer", "max_time"],
        "trainer.max_time=00:00:00:00",
        leaves=BEGUN,
    ),
    corpus_case(
        "a pattern of no parameter: `pruning.include=[conv]`",
        CSV,
        ["pruning.include", "'conv'", "fc.weight"],
        "pruning.include=[conv]",
        leaves=BEGUN,
    ),
    corpus_case(
        "no parameter that does not decay: `optimizer.no_decay=[conv]`",
        CSV,
        ["optimizer.no_decay", "'conv'", "fc.weight"],
        "optimizer.no_decay=[conv]",
        leaves=BEGUN,
    ),
    corpus_case(
        "a criterion that cannot be imported: `pruning.criterion=no_such_package.f`",
        CSV,
        ["pruning.criterion", "no_such_package", "PYTHONPATH"],
        "pruning.criterion=no_such_package.f",
        leaves=BEGUN,
    ),
    Case(
        "a criterion that does not suit the network: `model=birnn pruning.criterion=synflow`",
        lambda folder: [
            *make_corpus(folder, {"train.csv": CSV, "test.csv": CSV})[:2],  # without the model
            "model=birnn",
            "model.hidden=3",
            "pruning.criterion=synflow",
        ],
        ("pruning.criterion", "synflow", "GRU 'rnn'", "snip"),
        train,
        BEGUN,
    ),
    corpus_case(
        "a scope that cannot be imported: `pruning.scope=no_such_package.f`",
        CSV,
        ["pruning.scope", "no_such_package", "PYTHONPATH"],
        "pruning.scope=no_such_package.f",
        leaves=BEGUN,
    ),
    corpus_case(
        "nothing left to prune: `pruning.exclude=['*']`",
        CSV,
        ["pruning", "exclude"],
        "pruning.exclude=['*']",
        leaves=BEGUN,
    ),
    corpus_case(
        "groups that do not divide the inputs: `pruning.pattern=3:7`",
        CSV,
        ["pruning.pattern", "3:7", "'embedding.", "exclude"],
        "pruning.pattern=3:7",
        leaves=BEGUN,
    ),
    corpus_case(
        "a density that leaves a tensor nothing: `pruning.scope=erk pruning.schedule=at_init pruning.density=0.001`",
        CSV,
        ["pruning.scope", "erk", "leaves none", "larger density"],
        "pruning.scope=erk",
        "pruning.schedule=at_init",
        "pruning.density=0.001",
        leaves=BEGUN,
    ),
    corpus_case(
        "more rounds than there is to prune: `pruning.rounds=99`",
        CSV,
        ["pruning.rounds", "prune nothing", "pruning.amount"],
        "pruning.rounds=99",
    ),
    corpus_case(
        "a share that is everything: `pruning.rounds=1 pruning.amount=0.999999`",
        CSV,
        ["pruning.amount", "0.999999", "alive"],
        "pruning.rounds=1",
        "pruning.amount=0.999999",
    ),
    corpus_case(
        "a rewind to steps that there are not: `pruning.rewind=step:99`",
        CSV,
        ["pruning.rewind", "step:99"],
        "pruning.rewind=step:99",
        leaves=BEGUN,
    ),
)

KIND = Kind(
    7,
    "Settings that the data or the machine refuse",
    "Given to `python -m lt_lightning.train data=files data.path=corpus`, with a sound corpus.",
    CASES,
)
