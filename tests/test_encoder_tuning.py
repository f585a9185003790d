"""Fine-tuning, controls and movement pruning of a small encoder, with the settings of the experiments on BERT."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor

pytest.importorskip("transformers")

from lt_lightning.config.schema import Config
from lt_lightning.kernels.sparse_adam import LivingAdam
from lt_lightning.lottery import Lottery, Mask, derive_seed, shuffle_weights
from lt_lightning.models import Learner
from lt_lightning.runs.round_ticket import RoundTicket, read_rewind_weights
from lt_lightning.runs.rounds import ticket_path
from trials.encoders import write_encoder

pytestmark = pytest.mark.slow

TUNING = (
    "pruning.include=[encoder.*.layer.*.weight]", "pruning.exclude=['*[Nn]orm.weight']", "pruning.scope=global",
    "optimizer=adamw", "optimizer.lr=0.002", "optimizer.weight_decay=0.1",
    "optimizer.no_decay=['*.bias','*[Nn]orm.weight']", "scheduler=linear_warmup", "trainer.gradient_clip_val=1.0",
    "trainer.precision=auto", "trainer.max_epochs=2",
)  # fmt: skip
ROUNDS = ("pruning.rounds=2", "pruning.amount=0.3", "pruning.amount_of=all")
Weights = dict[str, Tensor]
Play = Callable[..., Path]


@pytest.fixture(scope="module")
def play(play_small: Play, tmp_path_factory: pytest.TempPathFactory) -> Play:
    source = write_encoder(tmp_path_factory.mktemp("encoder"), initializer_range=0.05)

    def play(*overrides: str, resuming: bool = False, run: Path | None = None) -> Path:
        run = run or tmp_path_factory.mktemp("runs") / "run"
        return play_small(run, "model=bert", f"model.path={source}", *TUNING, *overrides, resuming=resuming)

    return play


@pytest.fixture(scope="module")
def trunk(play: Play) -> Path:
    return play(*ROUNDS)


@pytest.fixture
def starts(watch_starts: Callable[..., AbstractContextManager[None]]) -> Iterator[list[Weights]]:
    """Return the weights that each round since has begun to train."""
    begun: list[Weights] = []
    with watch_starts(begun):
        yield begun


def ticket(run: Path, number: int) -> RoundTicket:
    return RoundTicket.load(ticket_path(run, number))


def masked(weights: Weights, mask: Mask) -> Weights:
    return {name: value * mask[name] if name in mask else value for name, value in weights.items()}


def equal(begun: Weights, expected: Weights) -> bool:
    """Return whether a round began with these weights; buffers that no state dict holds are left out."""
    return begun.keys() <= expected.keys() and all(torch.equal(begun[name], expected[name]) for name in begun)


def test_control_masks_have_the_counts_of_the_ticket_and_its_first_weights(play, trunk, starts) -> None:
    own = ticket(trunk, 2).mask
    assert own.alive == round(0.4 * own.total)
    for kind in ("shuffle", "random"):
        starts.clear()
        run = play(f"branch.of={trunk}", "branch.rounds=[2]", f"pruning.mask={kind}", *ROUNDS)
        mask = ticket(run, 2).mask
        assert mask.counts == own.counts
        assert mask != own
        assert equal(starts[0], masked(read_rewind_weights(trunk), mask))
        assert not any(ticket(run, 2).weights[name][~alive].any() for name, alive in mask.items())


def test_the_first_weights_are_shuffled_within_the_matrices_alone(play, trunk, starts) -> None:
    run = play(f"branch.of={trunk}", "branch.rounds=[2]", "pruning.rewind=shuffle", *ROUNDS)
    mask, first = ticket(trunk, 2).mask, read_rewind_weights(trunk)
    shuffle_weights({name: first[name] for name in mask}, derive_seed(0, "rewind", 2))
    assert equal(starts[0], masked(first, mask))
    assert ticket(run, 2).mask == mask


def test_a_new_draw_is_the_encoders_own(play, trunk, starts) -> None:
    play(f"branch.of={trunk}", "branch.rounds=[2]", "pruning.rewind=random", *ROUNDS)
    mask, first = ticket(trunk, 2).mask, read_rewind_weights(trunk)
    (begun,) = starts
    words = begun["encoder.embeddings.word_embeddings.weight"]
    assert not words[0].any()  # padding
    assert words[1:].std().item() == pytest.approx(0.05, rel=0.1)
    for name, alive in mask.items():
        assert begun[name][alive].std().item() == pytest.approx(0.05, rel=0.2)
        assert not (begun[name][alive] == first[name][alive]).any()
    assert (begun["encoder.embeddings.LayerNorm.weight"] == 1).all()
    assert begun["head.weight"].abs().max() <= 32**-0.5
    assert not torch.equal(begun["head.weight"], first["head.weight"])


def test_the_head_alone_is_drawn_anew_each_round(play, starts) -> None:
    run = play(*ROUNDS, "pruning.renew=[head.*]")
    first = read_rewind_weights(run)
    assert equal(starts[0], first)
    for number in (1, 2):
        expected = masked(first, ticket(run, number).mask)
        assert all(torch.equal(one, expected[name]) for name, one in starts[number].items() if "head" not in name)
        assert starts[number]["head.weight"].abs().max() <= 32**-0.5
    heads = [begun["head.weight"] for begun in starts]
    assert len({tuple(head.flatten().tolist()) for head in heads}) == 3
    starts.clear()
    play(f"branch.of={run}", "branch.rounds=[2]", *ROUNDS, "pruning.renew=[head.*]")
    assert torch.equal(starts[0]["head.weight"], heads[2])


def test_a_round_warms_up_and_decays_over_its_own_steps(play, monkeypatch) -> None:
    rates: list[list[float]] = []

    start = Learner.on_train_start

    def begin(learner: Learner) -> None:
        start(learner)
        rates.append([])

    def step(learner: Learner, epoch: int, batch: int, optimizer: LivingAdam, closure: Callable[[], Tensor]) -> None:
        assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]
        rates[-1].append(optimizer.param_groups[0]["lr"])
        assert optimizer.param_groups[1]["lr"] == rates[-1][-1]
        optimizer.step(closure=closure)

    monkeypatch.setattr(Learner, "on_train_start", begin)
    monkeypatch.setattr(Learner, "optimizer_step", step)
    run = play(*ROUNDS, "trainer.accumulate_grad_batches=2", "scheduler.warmup=0.25")
    steps = pd.read_csv(run / "results.csv")["steps"].tolist()
    assert [len(of_round) for of_round in rates] == steps
    (total,) = {*steps}
    warm = round(0.25 * total)
    expected = [0.002 * (step + 1) / (warm + 1) if step < warm else 0.002 * (total - step) / (total - warm)
                for step in range(total)]  # fmt: skip
    assert all(of_round == pytest.approx(expected) for of_round in rates)
    assert json.loads((run / "run.json").read_text())["precision"] == "32-true"


@pytest.fixture
def movements(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Tensor]]:
    """Return −Σ g ⊙ w over the steps of a fit, from the gradients that reach the lottery."""
    sums: dict[str, Tensor] = {}
    observe = Lottery.observe_gradients

    def add(lottery: Lottery, module: torch.nn.Module, optimizer: object = None) -> None:
        for name, param in module.named_parameters():
            assert param.grad is not None
            alive = lottery.mask[name] if name in lottery.mask else torch.ones_like(param, dtype=torch.bool)
            gradient = param.grad.to_dense()  # that of the words is sparse
            assert not gradient[~alive].any()
            sums[name] = sums.get(name, torch.zeros_like(param)) - gradient * param.detach()
        observe(lottery, module, optimizer)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(Lottery, "observe_gradients", add)
    return sums


@pytest.mark.parametrize("density", [0.15, pytest.param(0.1, marks=pytest.mark.slow)])
def test_movement_prunes_what_moved_to_zero_and_leaves_the_rest_whole(play, movements, density) -> None:
    settings = ("pruning.schedule=gradual", "pruning.criterion=movement", f"pruning.density={density}")
    settings += ("pruning.begin=0.1", "pruning.every=1", "trainer.max_epochs=6")
    run = play(*settings)
    found = ticket(run, 0)
    total = 2 * (4 * 32 * 32 + 2 * 32 * 64)
    assert found.mask.alive == round(density * total)
    assert len(found.mask) == 12
    assert not any(found.weights[name][~alive].any() for name, alive in found.mask.items())
    assert all(found.weights[name].all() for name in found.weights if name.endswith("LayerNorm.weight"))
    rows = pd.read_csv(run / "masks.csv")
    assert rows["sparsity"].is_monotonic_increasing
    assert rows["step"].min() >= 0.1 * 6  # not in the warm-up
    assert len(rows) > 5
    # Pruned entries get no gradient, so that sums of all are those of the time when they lived.
    kept = torch.cat([movements[name][alive] for name, alive in found.mask.items()])
    gone = torch.cat([movements[name][~alive] for name, alive in found.mask.items()])
    assert kept.mean() > gone.mean()


def test_one_round_of_movement_keeps_the_highest_sums(play, movements) -> None:
    """By rounds nothing changes in the middle, so that the whole sum decides."""
    run = play("pruning.criterion=movement", "pruning.rounds=1", "pruning.amount=0.85")
    movements.clear()  # they are of both rounds; those of round 0 are of the same run without round 1
    play("pruning.criterion=movement", "pruning.rounds=0")
    mask = ticket(run, 1).mask
    scores = torch.cat([movements[name].flatten() for name in mask])
    alive = torch.cat([one.flatten() for one in mask.values()])
    assert int(alive.sum()) == len(scores) - round(0.85 * len(scores))
    assert scores[alive].min() >= scores[~alive].max()


@pytest.mark.parametrize(("experiment", "rounds", "schedule"), [
    ("study_bert", 3, "rounds"), ("study_bert_movement", 0, "gradual"),
])  # fmt: skip
def test_studies_prune_the_matrices_of_an_encoder_alone(
    configure: Callable[..., Config], experiment: str, rounds: int, schedule: str
) -> None:
    config = configure(f"+experiment={experiment}")
    assert (config.model.name, config.optimizer.name, config.scheduler.name) == ("minilm", "adamw", "linear_warmup")
    assert (config.pruning.rounds, config.pruning.schedule, config.pruning.scope) == (rounds, schedule, "global")
    assert config.trainer.precision == "auto"
