"""Wrong settings and command lines."""

from pathlib import Path

from observing import Case, Kind, train


def _case(wrong: str, arguments: list[str], *names: str) -> Case:
    shown = " ".join(arguments)
    return Case(f"{wrong}: `{shown}`", lambda folder: arguments, names, train)


def _block(folder: Path) -> list[str]:
    (folder / "notes").write_text("a file")
    return ["hydra.run.dir=notes/run"]


CASES = (
    _case("a share above 1", ["pruning.amount=1.5"], "pruning.amount", "between 0 and 1"),
    _case("a share that is no number", ["pruning.amount=nan"], "pruning.amount", "nan"),
    _case("a word for a number", ["pruning.amount=much"], "pruning.amount", "much", "number"),
    _case("nothing for a number", ["pruning.amount="], "pruning.amount", "number"),
    _case("a fraction for a whole number", ["seed=1.5"], "seed", "1.5", "whole number"),
    _case("true for a number", ["data.batch_size=true"], "data.batch_size", "True", "whole number"),
    _case("null where a value must be", ["pruning.amount=null"], "pruning.amount", "null"),
    _case("trust without a folder to go on with", ["trust=true"], "trust", "resume=FOLDER"),
    _case("a negative seed", ["seed=-1"], "seed", "-1"),
    _case("a seed of 20 digits", ["seed=99999999999999999999"], "seed"),
    _case("a negative seed of the data order", ["seed.order=-1"], "seed.order", "-1"),
    _case("a word for a seed of the data order", ["seed.order=last"], "seed.order", "last", "whole number"),
    _case("several seeds of the data order without a sweep", ["seed.order=0,1"], "seed.order", "-m"),
    _case("a mistyped seed of the data order", ["seed.ordr=1"], "seed", "--help"),
    _case("a number that no library counts to", ["data.batch_size=99999999999999999999"], "data.batch_size", "large"),
    _case("an infinite rate", ["optimizer.lr=inf"], "optimizer.lr", "inf"),
    _case("an infinite spread", ["embedding.std=inf"], "embedding.std", "inf"),
    _case("a threshold that is no number", ["early_stopping.min_delta=nan"], "early_stopping.min_delta", "nan"),
    _case("a dropout of everything", ["model.dropout=1"], "model.dropout", "between 0"),
    _case("a number for a list", ["model.widths=3"], "model.widths", "list", "[…]"),
    _case("a word in a list of numbers", ["model.widths=[three]"], "model.widths", "three"),
    _case("a width of 0", ["model.widths=[3,0]"], "model.widths", "0"),
    _case("a pattern that is no list", ["pruning.include=*"], "pruning.include", "list"),
    _case("another pattern that is no list", ["optimizer.no_decay=*.bias"], "optimizer.no_decay", "list"),
    _case(
        "weights to draw anew in a single round",
        ["pruning=gradual", "pruning.density=0.1", "pruning.renew=[fc.*]"],
        "pruning.renew",
        "gradual",
    ),
    _case("neither true nor false", ["optimizer.fused=maybe"], "optimizer.fused", "maybe", "true nor false"),
    _case("a kernel that there is not", ["model.kernel=quick"], "model.kernel", "quick", "fast", "reference"),
    _case("an optimizer's that there is not", ["optimizer.kernel=quick"], "optimizer.kernel", "quick", "reference"),
    _case(
        "one where there is but one", ["optimizer=sgd", "optimizer.kernel=fast"], "optimizer.kernel", "optimizer=sgd"
    ),
    _case("a mistyped schedule", ["scheduler=cosin"], "scheduler", "cosin", "did you mean cosine"),
    _case("a rise longer than the round", ["scheduler=cosine", "scheduler.warmup=2"], "scheduler.warmup", "2.0", "1"),
    _case("a setting of another schedule", ["scheduler.warmup=0.1"], "scheduler.warmup", "scheduler=none"),
    _case(
        "a schedule that steps at no such time",
        ["scheduler=custom", "scheduler._target_=torch.optim.lr_scheduler.LRScheduler", "scheduler.interval=batch"],
        "scheduler.interval",
        "batch",
        "step, epoch",
    ),
    _case("none of the choices", ["test_on=first"], "test_on", "first", "last", "best"),
    _case("a way of keeping tickets that there is not", ["tickets.keep=some"], "tickets.keep", "some", "winners"),
    _case("a metric that there is not", ["metric=test_auc"], "metric", "test_auc", "test_f1"),
    _case("a metric of another task", ["metric=test_exact"], "metric", "multi_cnn", "test_acc"),
    _case("a metric the wrong way round", ["metric=test_f1", "metric_mode=min"], "metric_mode", "metric=test_f1"),
    _case("a metric without its class", ["+metrics.mcc=3"], "metrics.mcc", "_target_"),
    _case("a pattern of pruning that there is not", ["pruning.pattern=columns"], "pruning.pattern", "columns", "rows"),
    _case("a pattern that keeps all", ["pruning.pattern=4:4"], "pruning.pattern", "4:4", "2:4"),
    _case("a rewind that there is not", ["pruning.rewind=start"], "pruning.rewind", "start", "init"),
    _case("a rewind to before the start", ["pruning.rewind=epoch:-1"], "pruning.rewind", "epoch:-1"),
    _case("a rewind beyond the end", ["pruning.rewind=epoch:9"], "pruning.rewind", "epoch:9", "trainer.max_epochs"),
    _case("a temperature of 0", ["pruning.criterion=grasp", "pruning.temperature=0"], "pruning.temperature", "above 0"),
    _case(
        "a temperature for `snip`", ["pruning.criterion=snip", "pruning.temperature=1"], "pruning.temperature", "grasp"
    ),
    _case(
        "first weights that do not differ yet",
        ["pruning.criterion=magnitude_increase", "pruning.schedule=at_init", "pruning.density=0.1"],
        "pruning.criterion",
        "magnitude_increase",
        "at_init",
    ),
    _case("a mistyped setting", ["pruning.amont=0.3"], "pruning.amont", "pruning.amount"),
    _case("a mistyped group", ["loger=csv"], "loger", "did you mean logger?"),
    _case("a setting without its group", ["amount=0.3"], "pruning.amount"),
    _case("a setting in capitals", ["Pruning.amount=0.3"], "Pruning.amount", "pruning.amount"),
    _case("a setting of another model", ["model.hidden=3"], "model.hidden", "multi_cnn"),
    _case("a setting that is added", ["+pruning.speed=3"], "pruning.speed", "no such setting"),
    _case("a setting that is taken away", ["~pruning.amount"], "pruning.amount", "another value"),
    _case("a group that is taken away", ["~pruning"], "pruning", "value"),
    _case("a mistyped model", ["model=bilsmt"], "model", "bilsmt", "bilstm"),
    _case("a mistyped experiment", ["+experiment=lt_agnwes"], "experiment", "lt_agnews"),
    _case("an experiment without a name", ["+experiment="], "experiment", "quickstart"),
    _case("the path of an experiment", ["+experiment=conf/experiment/quickstart"], "experiment", "quickstart"),
    _case("an experiment without its +", ["experiment=quickstart"], "+experiment=NAME"),
    _case("a setting that takes its value from none", ["seed=${sed}"], "seed", "sed", "--help"),
    _case("a whole group for a number", ["seed=${data}"], "seed", "${data}"),
    _case("a variable that is not set", ["data.path=${oc.env:CORPUS_OF_NOBODY}"], "data.path", "CORPUS_OF_NOBODY"),
    _case("several values without a sweep", ["seed=1,2"], "seed", "-m", "[a,b]"),
    _case("a decimal comma", ["pruning.amount=0,2"], "pruning.amount", "0,2"),
    _case("a comma in a path", ["data.path=a,b.csv"], "data.path", "-m", """'data.path="a,b.csv"'"""),
    _case("a range without a sweep", ["seed=range(1,3)"], "seed", "-m"),
    _case("a setting without a value", ["pruning.amount"], "pruning.amount", "key=value"),
    _case("a value without a setting", ["=3"], "no word begins with ="),
    _case("a number for a choice", ["trainer=0.5"], "the name of a choice", "--help"),
    _case("a value for a group without choices", ["branch=outputs"], "branch: ", "branch.of", "branch.rounds"),
    _case("a colon for an equals sign", ["pruning.amount:0.2"], "pruning.amount:0.2", "key=value"),
    _case("a blank before the equals sign", ["pruning.amount =0.2"], "pruning.amount =0.2", "blanks"),
    _case("a quote that is not closed", ['name="mine'], 'name="mine', "quotes"),
    _case("a letter that no setting has", ["pruning.ämount=1"], "pruning.ämount=1"),
    _case("a setting as a flag", ["--pruning.amount=0.2"], "--pruning.amount=0.2", "key=value"),
    _case("a flag that there is not", ["--verbose"], "--verbose", "--help"),
    _case("a flag without its value", ["--cfg"], "--cfg"),
    _case("a flag without the one that it is for", ["--resolve"], "--resolve", "--cfg"),
    _case("a configuration that there is not", ["--config-name=mine"], "--config-name", "mine"),
    _case("a folder of settings that there is not", ["--config-dir=mine"], "--config-dir", "mine"),
    _case("a name that leads out of `outputs/`", ["name=../mine"], "name", "outputs/"),
    _case("a name of nothing", ["name="], "name", "outputs/"),
    Case("a run directory below a file: `hydra.run.dir=notes/run`", _block, ("hydra.run.dir", "notes"), train),
    _case("nothing to read", ["data=files"], "data.path"),
    _case("an empty path", ["data=files", "data.path="], "data.path", "empty"),
    _case("a delimiter of two characters", ["data.delimiter=::"], "data.delimiter", "single character"),
    _case("all rows to test", ["data.test_fraction=1"], "data.test_fraction", "between 0 and 1"),
    _case("a configuration of no Hub data set", ["data.hub_config=en"], "data.hub_config", "data.hub"),
    _case("texts for a model of pairs", ["model=tagger"], "tagger", "data=pairs"),
    _case("no labels for a classifier", ["data.label_column=null"], "data.label_column", "multi_cnn"),
    _case("negative clipping", ["trainer.gradient_clip_val=-1"], "trainer.gradient_clip_val", "-1"),
    _case("no batches to train on", ["trainer.limit_train_batches=0"], "trainer.limit_train_batches"),
    _case("steps of no batch", ["trainer.accumulate_grad_batches=0"], "trainer.accumulate_grad_batches", "1"),
    _case("a callback that is no object", ["trainer.callbacks=[1]"], "trainer.callbacks", "_target_"),
    _case("a logger that is no object", ["trainer.logger=wandb"], "trainer.logger", "wandb", "_target_"),
    _case("a strategy that splits weights", ["trainer.strategy=fsdp"], "trainer.strategy", "ddp"),
)

KIND = Kind(
    1,
    "Settings and the command line",
    "Given to `python -m lt_lightning.train`. They are refused before a folder is made or torch is loaded.",
    CASES,
)
