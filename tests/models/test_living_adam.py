"""`LivingAdam` against torch's Adam and AdamW on masked gradients."""

import copy
import io
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn, optim
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts, LambdaLR, LRScheduler, OneCycleLR

from lt_lightning.kernels import adam as kernels
from lt_lightning.kernels import threads
from lt_lightning.kernels.sparse_adam import PACKED, LivingAdam
from lt_lightning.lottery import Freezer, Mask
from lt_lightning.models.schedules import cosine, linear_warmup, onecycle

ROWS, COLUMNS = 13, 4
STEPS = 6


def network(dtype: torch.dtype = torch.float64, seed: int = 0) -> nn.ParameterDict:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"table": (ROWS, COLUMNS), "filters": (3, 2, 5), "bias": (3,)}
    return nn.ParameterDict(
        {name: nn.Parameter(torch.randn(shape, generator=generator).to(dtype)) for name, shape in shapes.items()}
    )


def random_mask(params: nn.ParameterDict, density: float, seed: int = 1) -> Mask:
    generator = torch.Generator().manual_seed(seed)
    return Mask({name: torch.rand(param.shape, generator=generator) < density for name, param in params.items()})


def gradients(params: nn.ParameterDict, step: int, *, sparse: bool = False) -> dict[str, Tensor]:
    """Those of a step, the table's in few rows."""
    generator = torch.Generator().manual_seed(100 + step)
    drawn = {name: torch.randn(param.shape, generator=generator).to(param.dtype) for name, param in params.items()}
    rows = torch.randperm(ROWS, generator=generator)[:3].sort().values
    few = torch.zeros_like(drawn["table"]).index_copy_(0, rows, drawn["table"][rows])
    drawn["table"] = torch.sparse_coo_tensor(rows[None], few[rows], few.shape, check_invariants=True) if sparse else few
    return drawn


def train(
    params: nn.ParameterDict,
    optimizer: optim.Optimizer,
    mask: Mask,
    *,
    sparse: bool = False,
    steps: range = range(STEPS),
) -> None:
    freezer = Freezer(dict(params.items()), mask)
    handles = freezer.watch([optimizer])
    for step in steps:
        for name, gradient in gradients(params, step, sparse=sparse).items():
            params[name].grad = gradient
        freezer.freeze_gradients()
        optimizer.step()
    for handle in handles:
        handle.remove()


@settings(max_examples=60, deadline=None)
@given(
    density=st.sampled_from([0.0, 0.03, 0.3, 0.39, 0.41, 0.8, 1.0]),
    sparse=st.booleans(),
    decoupled=st.booleans(),
    decay=st.sampled_from([0.0, 0.1]),
    betas=st.sampled_from([(0.9, 0.999), (0.0, 0.5), (0.99, 0.9)]),
    seed=st.integers(0, 100),
)
def test_weights_are_those_of_torchs_adam_on_masked_gradients(density, sparse, decoupled, decay, betas, seed):
    ours, theirs = network(seed=seed), network(seed=seed)
    mask = random_mask(ours, density, seed)
    for params in (ours, theirs):
        mask.apply_(dict(params.items()))
    common = {"lr": 0.03, "betas": betas, "eps": 1e-6, "weight_decay": decay}
    kind = optim.AdamW if decoupled else optim.Adam
    train(ours, LivingAdam(ours.values(), **common, decoupled=decoupled), mask, sparse=sparse)
    train(theirs, kind(theirs.values(), **common), mask)
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=1e-12)
        assert not ours[name][~mask[name]].any()


def test_in_single_precision_they_are_torchs_to_rounding() -> None:
    ours, theirs = network(torch.float32), network(torch.float32)
    mask = Mask.ones(ours)
    train(ours, LivingAdam(ours.values()), mask, sparse=True)
    train(theirs, optim.Adam(theirs.values(), fused=True), mask)
    for name in ours:
        assert ours[name].dtype == torch.float32
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-6, atol=1e-6)


def test_an_entry_whose_word_is_gone_follows_its_momentum_as_adam_has_it() -> None:
    # torch.optim.SparseAdam, for one, would leave it alone.
    params = network()
    optimizer = LivingAdam([params["table"]])
    params["table"].grad = gradients(params, 0, sparse=True)["table"]
    touched = params["table"].grad.coalesce().indices()[0]
    optimizer.step()
    before = params["table"].detach().clone()
    params["table"].grad = torch.zeros_like(before).to_sparse(1)
    optimizer.step()
    moved = (params["table"].detach() != before).any(dim=1)
    assert moved.nonzero().flatten().tolist() == touched.tolist()


RARE = 400
"""Steps that are enough for the step of a weight without a gradient to fade to nothing, and for its row to rest."""


def often_and_rarely(
    optimizer: optim.Optimizer,
    table: nn.Parameter,
    *,
    sparse: bool,
    steps: int = RARE,
    then: Callable[[], None] = lambda: None,
) -> None:
    """Row 0 has a gradient at each step, row 1 at the first and at the last, row 2 at the first, the others never."""
    for step in range(steps):
        gradient = torch.zeros_like(table)
        rows = [0, 1, 2] if step == 0 else [0, 1] if step == steps - 1 else [0]
        gradient[rows] = torch.randn(len(rows), COLUMNS, generator=torch.Generator().manual_seed(step)).to(table.dtype)
        table.grad = gradient.to_sparse(1) if sparse else gradient
        optimizer.step()
        then()


def assert_same_table(
    train: Callable[[optim.Optimizer, nn.Parameter, bool], Any], rtol: float, **settings: Any
) -> None:
    """Train a table by LivingAdam on sparse gradients and by Adam on dense ones, and compare."""
    tables = [network(torch.float32)["table"] for _ in range(2)]
    for table, kind in zip(tables, (LivingAdam, optim.Adam), strict=True):
        train(kind([table], **settings), table, kind is LivingAdam)
    torch.testing.assert_close(*tables, rtol=rtol, atol=rtol / 10)


@pytest.mark.parametrize("change", [None, "a larger learning rate", "a gradient everywhere", "a checkpoint"])
def test_rows_that_rested_go_on_as_if_they_had_not(change: str | None) -> None:
    def train(optimizer: optim.Optimizer, table: nn.Parameter, sparse: bool) -> None:
        often_and_rarely(optimizer, table, sparse=sparse)
        if change == "a larger learning rate":
            optimizer.param_groups[0]["lr"] = 1.0
        elif change == "a gradient everywhere":
            table.grad = torch.ones_like(table)
            optimizer.step()
        elif change == "a checkpoint":
            kept = copy.deepcopy(optimizer.state_dict())
            optimizer = type(optimizer)([table])
            optimizer.load_state_dict(kept)
        often_and_rarely(optimizer, table, sparse=sparse, steps=5)

    assert_same_table(train, 1e-5)


@pytest.mark.parametrize(
    ("betas", "decay", "resting"), [((0.9, 0.999), 0.0, ROWS - 2), ((0.999, 0.9), 0.0, 0), ((0.9, 0.999), 0.1, 0)]
)
def test_rows_rest_only_where_no_later_step_can_move_them(betas, decay, resting, monkeypatch):
    table = network(torch.float32)["table"]
    optimizer = LivingAdam([table], betas=betas, weight_decay=decay, decoupled=True)
    often_and_rarely(optimizer, table, sparse=True, steps=RARE - 1)
    seen: list[int] = []
    original = kernels.end_rests

    def end_rests(*given: Any) -> None:
        seen.append(int((given[-1] >= 0).sum()))
        original(*given)

    monkeypatch.setattr(kernels, "end_rests", end_rests)
    moments = optimizer.state_dict()["state"][0]
    assert seen == [resting]
    assert moments["exp_avg_sq"][1:3].all()  # not forgotten, and brought up to date


def test_a_step_without_a_gradient_is_never_longer_than_the_one_before_it() -> None:
    # What rests is sure to be of no effect only because of this; the claim in exact terms is beside the loop.
    for beta1, beta2 in ((0.9, 0.999), (0.5, 0.5), (0.99, 0.999), (0.0, 0.9)):
        for moment in (1e-8, 1e-3, 1.0):
            weight = nn.Parameter(torch.zeros(1, 1, dtype=torch.float64))
            optimizer = optim.Adam([weight], betas=(beta1, beta2))
            weight.grad = torch.full_like(weight, moment)
            steps = []
            for _ in range(200):
                before = weight.item()
                optimizer.step()
                steps.append(abs(weight.item() - before))
                weight.grad.zero_()
            assert steps == sorted(steps, reverse=True)


def test_the_memory_of_its_state_falls_with_density() -> None:
    def size(density: float) -> int:
        params = network()
        mask = random_mask(params, density)
        optimizer = LivingAdam(params.values())
        train(params, optimizer, mask)
        return sum(v.numel() for state in optimizer.state.values() for v in state.values() if isinstance(v, Tensor))

    assert size(1.0) == 2 * (ROWS * COLUMNS + 30 + 3)
    mask = random_mask(network(), 0.1)
    assert size(0.1) == 2 * mask.alive
    assert size(0.0) == 0


@pytest.mark.parametrize("density", [1.0, 0.2])
def test_it_goes_on_from_its_state_as_if_it_had_not_stopped(density: float) -> None:
    whole, cut = network(), network()
    mask = random_mask(whole, density)
    for params in (whole, cut):
        mask.apply_(dict(params.items()))
    train(whole, LivingAdam(whole.values()), mask)
    first = LivingAdam(cut.values())
    train(cut, first, mask, steps=range(3))
    kept = io.BytesIO()
    torch.save(first.state_dict(), kept)
    kept.seek(0)
    second = LivingAdam(cut.values())
    second.load_state_dict(torch.load(kept, weights_only=True))
    train(cut, second, mask, steps=range(3, STEPS))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_a_mask_that_comes_later_takes_the_moments_that_are_there() -> None:
    params, like = network(), network()
    mask = random_mask(params, PACKED / 2)
    optimizer, theirs = LivingAdam(params.values()), optim.Adam(like.values())
    for one, by in ((params, optimizer), (like, theirs)):
        train(one, by, Mask.ones(one))
        mask.apply_(dict(one.items()))
        train(one, by, mask)
    for name in params:
        torch.testing.assert_close(params[name], like[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("first", "second"), [(0.3, 0.1), (0.1, 0.3), (0.3, 0.8), (0.8, 0.3), (0.9, 0.5)])
def test_one_mask_after_another_is_as_adam_has_them(first: float, second: float) -> None:
    ours, theirs = network(), network()
    masks = [random_mask(ours, density, seed) for seed, density in enumerate((first, second))]
    for params, optimizer in ((ours, LivingAdam(ours.values())), (theirs, optim.Adam(theirs.values()))):
        for mask in masks:
            mask.apply_(dict(params.items()))
            train(params, optimizer, mask, sparse=isinstance(optimizer, LivingAdam))
            assert all(not params[name][~mask[name]].any() for name in params)
    for name in ours:
        living = masks[0][name] & masks[1][name]
        torch.testing.assert_close(ours[name][living], theirs[name][living], rtol=0, atol=1e-12)


@pytest.mark.parametrize("change", [{"weight_decay": 0.1}, {"betas": (0.5, 0.6)}, {"eps": 1e-3}, {"lr": 1e-4}])
def test_settings_may_change_while_rows_rest(change: dict[str, Any]) -> None:
    def train(optimizer: optim.Optimizer, table: nn.Parameter, sparse: bool) -> None:
        for changed in ({}, change):
            optimizer.param_groups[0].update(changed)
            often_and_rarely(optimizer, table, sparse=sparse)

    assert_same_table(train, 1e-4)


@pytest.mark.parametrize("share", [linear_warmup, cosine, onecycle, "onecycle with momentum", "restarts"])
@pytest.mark.parametrize("steps", [STEPS, RARE])
def test_a_rate_that_changes_at_each_step_is_as_adam_has_it(share: Any, steps: int) -> None:
    """Rows rest while the rate falls, and go on as it rises, with the rate of each step."""

    def schedule(optimizer: optim.Optimizer) -> LRScheduler:
        if share == "onecycle with momentum":
            return OneCycleLR(optimizer, 0.01, total_steps=2 * steps)
        if share == "restarts":
            return CosineAnnealingWarmRestarts(optimizer, max(2, steps // 4))
        divisors = {"div_factor": 25.0, "final_div_factor": 100.0} if share is onecycle else {"final": 0.0}
        return LambdaLR(optimizer, partial(share, total=2 * steps, warmup=0.3, **divisors))

    def train(optimizer: optim.Optimizer, table: nn.Parameter, sparse: bool) -> None:
        scheduler = schedule(optimizer)
        for _ in range(2):
            often_and_rarely(optimizer, table, sparse=sparse, steps=steps, then=scheduler.step)

    assert_same_table(train, 1e-5, lr=0.01)


@pytest.mark.parametrize("density", [1.0, 0.2])
def test_a_copy_goes_on_as_the_optimizer_itself(density: float) -> None:
    params = network()
    mask = random_mask(params, density)
    mask.apply_(dict(params.items()))
    optimizer = LivingAdam(params.values())
    train(params, optimizer, mask, sparse=True)
    copied, other = copy.deepcopy((params, optimizer))
    for one, by in ((params, optimizer), (copied, other)):
        for name, gradient in gradients(one, 7, sparse=True).items():
            one[name].grad = gradient
        by.step()
    assert all(torch.equal(params[name], copied[name]) for name in params)
    assert all(not copied[name][~mask[name]].any() for name in params) or density == 1.0


@pytest.mark.parametrize("wrong", [{"lr": -1.0}, {"betas": (1.0, 0.9)}, {"betas": (0.9, 2.0)}, {"eps": -1.0}])
def test_settings_out_of_their_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="out of range"):
        LivingAdam(network().values(), **wrong)


def test_autograd_notices_that_weights_have_changed() -> None:
    params = network()
    squared = (params["bias"] ** 2).sum()
    params["bias"].grad = torch.ones_like(params["bias"])
    LivingAdam([params["bias"]]).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        squared.backward()


def test_it_serves_plain_numbers_on_the_cpu() -> None:
    assert LivingAdam.serves(network(torch.float32).values())
    assert LivingAdam.serves(network(torch.float64).values())
    assert not LivingAdam.serves(network(torch.bfloat16).values())
    assert not LivingAdam.serves([torch.empty(3, 4).T])
    assert not LivingAdam.serves([torch.empty(3, device="meta")])


def test_a_closure_is_asked_for_the_loss_with_gradients() -> None:
    params = copy.deepcopy(network())
    optimizer = LivingAdam(params.values(), lr=0.1)

    def closure() -> float:
        optimizer.zero_grad()
        loss = sum((param**2).sum() for param in params.values())
        assert isinstance(loss, Tensor)
        loss.backward()
        return loss.item()

    losses = [optimizer.step(closure) for _ in range(20)]
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_without_moments_decay_as_adamw_has_it(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    params = network(dtype)
    reference = copy.deepcopy(params)
    settings = {"lr": 0.05, "weight_decay": 0.3}
    ours, theirs = (
        LivingAdam(params.parameters(), **settings, decoupled=True),
        optim.AdamW(reference.parameters(), **settings),
    )
    unmoved: list[int] = []
    update_rows = kernels.update_rows

    def update(*arguments: Any) -> None:
        update_rows(*arguments)
        unmoved.append(int((arguments[7] == -2).sum()))

    monkeypatch.setattr(kernels, "update_rows", update)
    for step in range(STEPS):
        for optimizer, one, sparse in ((ours, params, True), (theirs, reference, False)):
            for name, gradient in gradients(one, step % 3, sparse=sparse).items():
                one[name].grad = gradient
            optimizer.step()
        if step == 3:
            ours.load_state_dict(ours.state_dict())  # a checkpoint
    for name, param in params.items():
        torch.testing.assert_close(param, reference[name])
    touched = {int(row) for step in range(3) for row in gradients(params, step)["table"].any(1).nonzero()}
    assert unmoved[0] == ROWS - 3
    assert unmoved[-3:] == [ROWS - len(touched)] * 3  # after the checkpoint, too


def test_a_penalty_gives_rows_moments_that_count_when_it_is_gone() -> None:
    params = network()
    reference = copy.deepcopy(params)
    settings = {"lr": 0.05, "weight_decay": 0.3, "betas": (0.9, 0.5)}  # rows never rest
    ours, theirs = LivingAdam(params.parameters(), **settings), optim.Adam(reference.parameters(), **settings)
    for step in range(STEPS):
        for optimizer, one, sparse in ((ours, params, True), (theirs, reference, False)):
            for name, gradient in gradients(one, 0, sparse=sparse).items():
                one[name].grad = gradient
            optimizer.param_groups[0]["weight_decay"] = 0.3 if step < 2 else 0.0
            optimizer.step()
    for name, param in params.items():
        torch.testing.assert_close(param, reference[name])


@pytest.mark.parametrize("density", [1.0, 0.2])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_the_number_of_threads_changes_no_bit(density: float, decay: float, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = []
    for count in (1, 3):
        monkeypatch.setattr(threads, "LEAST", 0)
        monkeypatch.setattr(threads, "PIECE", 7)
        monkeypatch.setattr(threads.torch, "get_num_threads", lambda count=count: count)
        params = network(torch.float32)
        optimizer = LivingAdam(params.parameters(), lr=0.05, weight_decay=decay, decoupled=True)
        train(params, optimizer, random_mask(params, density), sparse=True)
        trained.append((params, optimizer.state_dict()["state"]))
    (one, of_one), (many, of_many) = trained
    for number, (name, param) in enumerate(one.items()):
        assert torch.equal(param, many[name])
        assert all(
            torch.equal(torch.as_tensor(of_one[number][key]), torch.as_tensor(of_many[number][key]))
            for key in of_one[number]
        )


def test_an_error_on_another_thread_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads.torch, "get_num_threads", lambda: 2)
    ran: list[int] = []
    jobs = [(threads.LEAST, lambda: ran.append(1)), (threads.LEAST, lambda: 1 / 0)]
    with pytest.raises(ZeroDivisionError):
        threads.run_jobs(jobs)
    assert ran == [1]
