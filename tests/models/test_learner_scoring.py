"""Criteria under the callback on a `Learner`: batches of several lengths, the last one short."""

from functools import partial
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor

from lt_lightning.callbacks import PruningCallback
from lt_lightning.data.batches import Batch
from lt_lightning.data.pair_module import PairBatch
from lt_lightning.kernels.sparse_adam import LivingAdam
from lt_lightning.lottery import Mask, prune, score
from lt_lightning.models import Learner, MultiCNN
from lt_lightning.models.embedding import OneHot
from lt_lightning.models.rnn.classifier import RecurrentClassifier
from lt_lightning.models.rnn.tagger import Tagger
from lt_lightning.models.tasks import Tagging

WORDS = 20


class Texts:
    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self._batches = []
        for rows in (4, 4, 1):
            lengths = torch.randint(2, 8, (rows,), generator=generator)
            ids = torch.randint(2, WORDS, (rows, int(lengths.max())), generator=generator)
            ids[torch.arange(ids.shape[1]) >= lengths[:, None]] = 1
            labels = torch.randint(3, (rows,), generator=generator)
            self._batches.append(Batch(ids, lengths, labels, rows, int(lengths.sum())))

    def __iter__(self) -> Any:
        return iter(self._batches)

    def __len__(self) -> int:
        return len(self._batches)


NETWORKS = {
    "cnn": lambda: MultiCNN(WORDS, 3, dim=6, filters=4),
    "bilstm": lambda: RecurrentClassifier(WORDS, 3, dim=6, hidden=4),
}


def play(learner: pl.LightningModule, pruning: PruningCallback, data: Any) -> None:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = pl.Trainer(max_epochs=1, logger=False, accelerator="cpu", devices=1, callbacks=[pruning], **quiet)
    trainer.fit(learner, data, data)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("criterion", ["snip", "grasp", "fisher", "taylor"])
def test_a_learner_is_pruned_by_the_scores_of_a_loop_over_its_texts(network, criterion):
    torch.manual_seed(0)
    learner = Learner(NETWORKS[network](), 3, partial(LivingAdam, lr=0.01))
    pruning = PruningCallback(amount=0.3, criterion=criterion, rewind="none", submodule="network", scope="global")
    play(learner, pruning, Texts())
    net = NETWORKS[network]().double()
    net.load_state_dict(learner.network.state_dict())
    play(learner, pruning, Texts())

    def loss(batch: Batch, row: int) -> Tensor:
        length = int(batch.lengths[row])
        ids, lengths = batch.ids[row : row + 1, :length], batch.lengths[row : row + 1]
        return F.cross_entropy(net(ids, lengths), batch.labels[row : row + 1])

    rows = [(partial(loss, batch, row), 1) for batch in Texts() for row in range(len(batch.labels))]
    scores = score(criterion, net, losses=rows)
    assert agreement(pruning.mask, prune(scores, Mask.ones(scores), 0.3, scope="global")) >= pruning.mask.total - 4


def agreement(one: Mask, other: Mask) -> int:
    """Return how many entries are equal: single precision may order a few otherwise."""
    assert one.alive == other.alive
    return sum(int((one[name] == other[name]).sum()) for name in one)


def test_a_row_of_a_batch_weighs_as_a_batch_of_its_own():
    for batch in Texts():
        row = batch.row(0)
        assert (row.ids.shape, row.global_rows) == ((1, int(batch.lengths[0])), 1)
        assert batch.row(0, processes=2).global_rows == 2
    learner = Learner(NETWORKS["cnn"](), 3, partial(LivingAdam, lr=0.01)).eval()
    learner.trainer = pl.Trainer(accelerator="cpu", devices=1, logger=False, enable_checkpointing=False)
    batch = next(iter(Texts()))
    mean = torch.stack([learner.training_step(batch.row(row), 0) for row in range(4)]).mean()
    torch.testing.assert_close(mean, learner.training_step(batch, 0))


def test_a_pair_weighs_as_a_batch_of_its_own():
    torch.manual_seed(0)
    learner = Learner(Tagger(OneHot(5), 5, hidden=4), 5, partial(LivingAdam, lr=0.01), Tagging()).eval()
    learner.trainer = pl.Trainer(accelerator="cpu", devices=1, logger=False, enable_checkpointing=False)
    letters, lengths = torch.randint(5, (3, 6)), torch.tensor([6, 2, 4])
    batch = PairBatch(letters, lengths, letters, lengths, 3, 12)
    losses = torch.stack([learner.training_step(batch.row(row), 0) for row in range(3)])
    torch.testing.assert_close((losses * lengths).sum() / 12, learner.training_step(batch, 0))
