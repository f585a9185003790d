"""`renew`: some parameters are drawn anew in each round while the others rewind, also when a fit resumes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pruning_helpers import Batches, Classifier, Weights, Witness, copy, equal, make_trainer, masked
from torch import nn, optim

from lt_lightning.callbacks import PruningCallback
from lt_lightning.lottery import Lottery, LotteryError, Settings, Start, derive_seed

HEAD = ("head.weight", "head.bias")


def starts(rounds: int, **settings: Any) -> tuple[list[Weights], list[Weights], PruningCallback]:
    """Return the weights at the start and the end of each round, and the callback after the last."""
    module = Classifier(lambda params: optim.AdamW(params, 0.05))
    pruning = PruningCallback(amount=0.4, renew=["head.*"], **settings)
    begun, ended = [], []
    for round in range(rounds):
        witness = Witness()
        make_trainer(pruning, witness, accumulate_grad_batches=2, gradient_clip_val=0.5).fit(
            module, Batches(seed=round)
        )
        begun.append(witness.start)
        ended.append(witness.end)
        for name, alive in pruning.mask.items():
            assert not witness.start[name][~alive].any()
            assert not witness.end[name][~alive].any()
    return begun, ended, pruning


@pytest.mark.parametrize("rewind", ["init", "epoch:1", "last", "none", "random", "shuffle"])
def test_the_head_is_drawn_by_the_round_and_the_rest_rewinds(rewind: str) -> None:
    begun, ended, pruning = starts(3, rewind=rewind, seed=5)
    plain, renewed = Classifier(), [weights["head.weight"] for weights in begun]
    assert equal(begun[0], copy(plain))  # round 0 begins with the module as it is
    assert not (renewed[1] != 0)[renewed[1] == renewed[2]].any()
    body = {name: value for name, value in begun[2].items() if name not in HEAD}
    mask = pruning.mask
    if rewind == "init":
        assert equal(body, masked({name: begun[0][name] for name in body}, mask))
    if rewind in ("last", "none"):
        before = ended[0 if rewind == "last" else 1]
        assert equal(body, masked({name: before[name] for name in body}, mask))
    head = {name: begun[2][name] for name in HEAD}
    pruned = {name: mask[name] for name in HEAD}
    # As if the whole module had been drawn, so that the draw does not depend on what else is renewed.
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(5, "renew", 2))
        plain.body[0].reset_parameters()
        plain.body[1].reset_parameters()
        plain.head.reset_parameters()
    assert equal(head, masked({name: copy(plain)[name] for name in HEAD}, pruned))


def test_the_draw_depends_on_the_seed_and_the_round_alone() -> None:
    one, same, other = (starts(2, seed=seed)[0][1] for seed in (1, 1, 2))
    assert equal(one, same)
    assert not torch.equal(one["head.weight"], other["head.weight"])


def test_a_head_that_is_not_pruned_is_drawn_whole() -> None:
    begun, _, pruning = starts(2, include=["body.0.weight"], scope="global")
    assert list(pruning.mask) == ["body.0.weight"]
    assert begun[1]["head.weight"].all()
    assert not torch.equal(begun[1]["head.weight"], begun[0]["head.weight"])


def test_a_round_that_resumes_keeps_the_head_that_it_drew(tmp_path: Path) -> None:
    whole, cut = Classifier(), Classifier()
    ends = []
    for module, at in ((whole, None), (cut, 1)):
        pruning = PruningCallback(amount=0.4, renew=["head.*"])
        make_trainer(pruning).fit(module, Batches())
        trainer = make_trainer(pruning, max_epochs=at or 2)
        trainer.fit(module, Batches(seed=1))
        if at:
            trainer.save_checkpoint(path := tmp_path / "cut.ckpt")
            state = torch.load(path, weights_only=True)
            key = pruning.state_key
            assert state["callbacks"][key]["round"] == 1
            state["callbacks"][key]["training"] = True  # as a checkpoint that is written during the fit
            torch.save(state, path)
            module, pruning = Classifier(), PruningCallback(amount=0.4, renew=["head.*"])
            make_trainer(pruning).fit(module, Batches(seed=1), ckpt_path=path, weights_only=True)
        ends.append(copy(module))
    assert equal(*ends)


def test_a_ticket_begins_with_its_own_head_and_later_rounds_draw_it() -> None:
    first = Classifier()
    start = Start({name: torch.ones_like(param, dtype=torch.bool) for name, param in first.named_parameters()},
                  {name: value + 1 for name, value in copy(first).items() if name in HEAD})  # fmt: skip
    begun, _, _ = starts(2, start=start)
    assert torch.equal(begun[0]["head.weight"], first.head.weight + 1)
    assert begun[1]["head.weight"].abs().max() < 0.5


@pytest.mark.parametrize(("settings", "said"), [
    ({"renew": ["hed.*"]}, r"^renew: the pattern 'hed\.\*' matches no parameter; there are: factor, body\.0\.weight"),
    ({"renew": ["head.*"], "keep": ["head.bias"]}, r"^renew: 'head\.bias' is kept, too; leave it out of keep"),
    ({"renew": ["factor"]}, r"^renew: cannot draw 'factor' again"),
])  # fmt: skip
def test_what_cannot_be_renewed_is_said_before_training(settings: dict[str, Any], said: str) -> None:
    module = Classifier()
    module.factor = nn.Parameter(torch.ones(2))
    before = copy(module)
    with pytest.raises(LotteryError, match=said):
        make_trainer(PruningCallback(**settings)).fit(module, Batches())
    assert equal(copy(module), before)


def test_a_plain_loop_renews_what_initialize_draws() -> None:
    def initialize(module: nn.Module) -> None:
        nn.init.constant_(module[1].weight, 3.0)

    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    lottery = Lottery(Settings(renew=["1.weight"], include=["0.weight"]), initialize)
    first = module[0].weight.detach().clone()
    for _ in range(2):
        lottery.begin_round(module)
        with torch.no_grad():
            module[0].weight.add_(1)
        lottery.end_round(module)
    lottery.begin_round(module)
    assert (module[1].weight == 3).all()
    assert torch.equal(module[0].weight.detach(), first * lottery.mask["0.weight"])
