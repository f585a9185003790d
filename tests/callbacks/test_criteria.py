"""The criteria under the callback, with a module that knows nothing of this package."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pruning_helpers import Batches, Classifier, make_trainer
from torch import Tensor, nn, optim
from torch.utils.data import DataLoader, TensorDataset

from lt_lightning.callbacks import PruningCallback, losses
from lt_lightning.callbacks.loaders import untouched
from lt_lightning.callbacks.losses import TrainingLosses
from lt_lightning.callbacks.rows import count_rows, take_row
from lt_lightning.lottery import LotteryError, Mask, Settings, prune, score
from lt_lightning.lottery.scores.scoring import compute_scores


def relu() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5))


class Short(Batches):
    """Batches of which the last is short."""

    def __init__(self) -> None:
        super().__init__(count=3)
        inputs, targets = self._batches[-1]
        self._batches[-1] = (inputs[:2], targets[:2])


def losses_of(module: Classifier) -> list[Any]:
    return [(lambda batch=batch: module.training_step(batch, 0), len(batch[0])) for batch in Short()]


@pytest.mark.parametrize("criterion", ["snip", "taylor", "grasp", "fisher", "synflow"])
def test_a_round_prunes_by_the_scores_of_the_weights_that_the_last_one_left(criterion):
    module = Classifier(layers=relu)
    pruning = PruningCallback(amount=0.3, criterion=criterion, scope="global", rewind="none")
    make_trainer(pruning).fit(module, Short())
    left = copy.deepcopy(module)
    make_trainer(pruning, max_epochs=1).fit(module, Short())
    scores = score(criterion, left, losses=losses_of(left), example=next(iter(Short()))[0])
    assert pruning.mask == prune(scores, Mask.ones(scores), 0.3, scope="global")


def test_movement_is_summed_over_the_steps_of_a_round():
    module = Classifier(layers=relu, optimizer=lambda params: optim.SGD(params, 0.1))
    expected = {name: torch.zeros_like(p) for name, p in module.named_parameters()}

    class Sum(pl.Callback):
        def on_before_optimizer_step(self, trainer: Any, pl_module: nn.Module, optimizer: Any) -> None:
            for name, param in pl_module.named_parameters():
                expected[name] -= param.grad * param.detach()

    pruning = PruningCallback(amount=0.3, criterion="movement", rewind="init")
    make_trainer(pruning, Sum()).fit(module, Batches())
    torch.testing.assert_close(pruning.state_dict()["memory"]["movement"], expected, rtol=0, atol=0)
    mask = prune(expected, Mask.ones(expected), 0.3)
    for total in expected.values():
        total.zero_()
    make_trainer(pruning, Sum()).fit(module, Batches())
    assert pruning.mask == mask
    found = pruning.state_dict()["memory"]["movement"]
    for name, alive in mask.items():
        torch.testing.assert_close(found[name], expected[name].masked_fill(~alive, 0), rtol=0, atol=0)


@pytest.mark.parametrize("rewind", ["init", "last", "random", "none", "step:2"])
def test_magnitude_increase_compares_with_the_first_weights_whatever_rounds_rewind_to(rewind):
    module = Classifier(layers=relu)
    first = {name: p.detach().clone() for name, p in module.named_parameters()}
    pruning = PruningCallback(amount=0.3, criterion="magnitude_increase", rewind=rewind)
    mask = Mask.ones(first)
    for _ in range(3):
        make_trainer(pruning).fit(module, Batches())
        assert pruning.mask == mask
        increase = {name: p.detach().abs() - first[name].abs() for name, p in module.named_parameters()}
        mask = prune(increase, mask, 0.3)


def test_other_criteria_keep_no_memory():
    pruning = PruningCallback(criterion="snip")
    make_trainer(pruning).fit(Classifier(), Batches())
    assert "memory" not in pruning.state_dict()


class Tagged(Classifier):
    """Calls a part with a named argument, writes weights and buffers in its step, logs, and draws numbers."""

    def __init__(self) -> None:
        super().__init__(layers=relu)
        self.embedding = nn.Embedding(10, 5)
        self.register_buffer("seen", torch.zeros(()))

    def training_step(self, batch: Mapping[str, Tensor], index: int) -> dict[str, Tensor]:
        self.seen += 1
        with torch.no_grad():
            self.head.bias.add_(torch.rand(3))
        self.log("loss", 1.0)
        logits = self.head(self.body(input=self.embedding(batch["ids"]).mean(1)))
        return {"loss": nn.functional.cross_entropy(logits, batch["label"])}


class Dictionaries:
    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        generator = torch.Generator().manual_seed(0)
        for rows in (4, 4, 2):
            ids = torch.randint(7, (rows, 3), generator=generator)
            yield {"ids": ids, "label": torch.randint(3, (rows,), generator=generator)}

    def __len__(self) -> int:
        return 3


def test_scoring_moves_neither_module_loader_nor_random_states(monkeypatch):
    module, kept, seen, messages = Tagged(), [], [], []
    monkeypatch.setattr(losses, "rank_zero_info", messages.append)
    pruning = PruningCallback(criterion="fisher", rewind="none")

    def state() -> list[Any]:
        tensors = [*module.parameters(), *module.buffers()]
        modes = [one.training for one in module.modules()]
        return [[one.tolist() for one in tensors], modes, torch.get_rng_state().tolist(), [p.grad for p in tensors]]

    class Watch(pl.Callback):
        def before_pruning(self, trainer: pl.Trainer, pl_module: nn.Module) -> None:
            kept.append(state())

        def after_pruning(self, trainer: pl.Trainer, pl_module: nn.Module) -> None:
            with torch.no_grad():  # the pruning itself
                kept.append(state())
            seen.append(pruning.mask.sparsity)

    make_trainer(pruning).fit(module, Dictionaries())
    make_trainer(Watch(), pruning, max_epochs=1).fit(module, Dictionaries())
    before, after = kept[-2:]
    assert before[1:] == after[1:]
    assert seen[-1] == pytest.approx(0.2, abs=0.02)
    pruned = [one for one in pruning.mask.values() if not one.all()]
    assert pruned
    assert messages == [
        "Scoring sees 70% of the rows of embedding.weight in 3 batches; the others get no gradient: raise "
        "score_batches to see more."
    ]


def test_the_example_is_what_the_part_receives_by_position_or_by_name():
    module = Tagged()
    trainer = make_trainer()
    trainer.strategy.connect(module)
    trainer.fit_loop._data_source.instance = Dictionaries()
    sources = TrainingLosses(trainer, module, 1).sources(module.body)
    assert list(sources["example"]()) == ["input"]
    (ids,) = TrainingLosses(trainer, module, 1).sources(module.embedding)["example"]()
    assert torch.equal(ids, next(iter(Dictionaries()))["ids"])
    with pytest.raises(LotteryError, match=r"^criterion: training_step of Tagged does not call the module, so"):
        TrainingLosses(trainer, module, 1).sources(module)["example"]()


def test_the_copy_has_the_weights_of_the_time_when_the_sources_are_asked_for():
    module, trainer = Tagged(), make_trainer()
    trainer.strategy.connect(module)
    trainer.fit_loop._data_source.instance = Dictionaries()
    losses = TrainingLosses(trainer, module, 2)
    first = losses.sources(module)["module"]()
    with torch.no_grad():
        module.head.weight.zero_()
    assert losses.sources(module)["module"]().head.weight.count_nonzero() == 0
    assert first.head.weight.count_nonzero() > 0


def test_iterative_pruning_masks_the_copy_and_not_the_module():
    module, trainer = Classifier(layers=relu), make_trainer()
    trainer.strategy.connect(module)
    trainer.fit_loop._data_source.instance = Short()
    sources = TrainingLosses(trainer, module, 3).sources(module)
    params = dict(module.named_parameters())
    mask = Mask({name: torch.rand(p.shape) > 0.5 for name, p in params.items()})
    before = copy.deepcopy(module)
    for criterion in ("snip", "synflow"):
        found = compute_scores(
            criterion, mask, module=module, parameters=params, generator=torch.Generator(), sources=sources
        )
        expected = score(criterion, before, losses=losses_of(before), example=torch.zeros(1, 5), mask=mask)
        torch.testing.assert_close(found, expected)
    assert all(torch.equal(p, dict(before.named_parameters())[name]) for name, p in params.items())


@pytest.mark.parametrize("layers", [lambda: nn.Sequential(nn.Linear(5, 8), nn.Tanh()), lambda: nn.LSTM(5, 8)])
def test_synflow_is_refused_before_round_0_trains(layers):
    class Recurrent(Classifier):
        def forward(self, inputs: Tensor) -> Tensor:
            states = self.body(inputs)
            return self.head(states[0] if isinstance(states, tuple) else states)

    module = Recurrent(layers=layers)
    with pytest.raises(LotteryError, match=r"^criterion: synflow needs linear layers"):
        make_trainer(PruningCallback(criterion="synflow")).fit(module, Batches())


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_loader_gives_the_same_batches_after_it_has_been_read_from(workers):
    torch.manual_seed(0)
    data = TensorDataset(torch.arange(20))

    def loader() -> DataLoader[Any]:
        generator = torch.Generator().manual_seed(3)
        return DataLoader(
            data, 4, shuffle=True, generator=generator, num_workers=workers, persistent_workers=workers > 0
        )

    one, other = loader(), loader()
    with untouched([one]) as (usable,):
        scored = [batch[0].tolist() for batch in usable]
    read = [batch[0].tolist() for batch in one]
    assert read == scored == [batch[0].tolist() for batch in other]


def test_rows_are_taken_from_any_structure():
    batch = {"ids": torch.tensor([[1, 2], [3, 4]]), "more": (torch.tensor([5, 6]), ["a", "b"]), "scale": torch.ones(())}
    assert count_rows(batch) == 2
    row = take_row(batch, 1, 2)
    assert row["ids"].tolist() == [[3, 4]]
    assert row["more"][0].tolist() == [6]
    assert row["more"][1] == ["b"]
    assert row["scale"] == 1


def test_settings_name_the_criteria():
    with pytest.raises(LotteryError, match="none of magnitude, magnitude_increase, movement, snip, grasp, synflow, ta"):
        Settings(criterion="size")
