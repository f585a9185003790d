"""RigL on this project's own networks, whose kernels skip pruned entries, against a plain loop."""

import math
from collections.abc import Iterator

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn, optim

from lt_lightning.callbacks import PruningCallback
from lt_lightning.config.models import BiRNN, ModelChoice, MultiCNN, RandomVectors
from lt_lightning.config.optimizers import Adam
from lt_lightning.data.batches import Batch
from lt_lightning.kernels.sparse_adam import LivingAdam
from lt_lightning.lottery import Mask
from lt_lightning.models.build import build_learner

WORDS, STEPS, EVERY, END, WINDOW = 60, 24, 5, 22, 3


class Texts:
    """Batches of drawn texts; each lacks most of the words."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(1)
        self.batches = []
        for _ in range(6):
            lengths = torch.randint(6, 12, (5,), generator=generator).sort(descending=True).values
            ids = torch.randint(2, WORDS, (5, int(lengths.max())), generator=generator)
            ids[torch.arange(ids.shape[1]) >= lengths[:, None]] = 1
            labels = torch.randint(3, (5,), generator=generator)
            self.batches.append(Batch(ids, lengths, labels, 5, int(lengths.sum())))

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.batches)


class First(pl.Callback):
    def __init__(self, pruning: PruningCallback) -> None:
        self.pruning, self.mask = pruning, Mask({})

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.mask = self.pruning.mask
        assert isinstance(trainer.optimizers[0], LivingAdam)


def lowest(scores: Tensor, among: Tensor, count: int) -> Tensor:
    order = scores.masked_fill(~among, math.inf).flatten().sort(stable=True).indices[:count]
    return torch.zeros(scores.numel(), dtype=torch.bool).index_fill(0, order, True).view(scores.shape)


# Kernels skip pruned entries at the lower density.
@pytest.mark.slow
@pytest.mark.parametrize("density", [0.2, 0.04])
@pytest.mark.parametrize(
    "model", [MultiCNN(filters=6, dropout=0.0), BiRNN(cell="lstm", hidden=5, dropout=0.0)], ids=["cnn", "lstm"]
)
def test_rigl_on_this_projects_networks_is_the_plain_loop(model: ModelChoice, density: float) -> None:
    def build() -> pl.LightningModule:
        torch.manual_seed(0)
        return build_learner(model, RandomVectors(dim=8), Adam(lr=0.01), words=WORDS, classes=3).double()

    module, texts = build(), Texts()
    pruning = PruningCallback(
        schedule="rigl", density=density, every=EVERY, end=END, grow_batches=WINDOW, submodule="network"
    )
    first = First(pruning)
    trainer = pl.Trainer(
        max_epochs=STEPS // len(texts), callbacks=[pruning, first], precision="64-true", accelerator="cpu", devices=1,
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(module, texts, texts)

    plain = build().network
    params, masks = dict(plain.named_parameters()), dict(first.mask.items())
    for name, alive in masks.items():
        params[name].data[~alive] = 0
    optimizer, recent = optim.Adam(plain.parameters(), lr=0.01), list[dict[str, Tensor]]()
    for step in range(STEPS):
        batch = texts.batches[step % len(texts)]
        optimizer.zero_grad()
        nn.functional.cross_entropy(plain(batch.ids, batch.lengths), batch.labels).backward()
        dense = {name: param.grad.clone() for name, param in params.items()}  # pyright: ignore
        recent = [*recent, dense][-WINDOW:]
        if step and step % EVERY == 0 and step < END:
            for name, alive in masks.items():
                k = int(int(alive.sum()) * 0.15 * (1 + math.cos(math.pi * step / END)))
                kept = alive & ~lowest(params[name].detach().abs(), alive, k)
                total = torch.stack([one[name] for one in recent]).sum(0)
                masks[name] = kept | lowest(-total.abs(), ~kept, k)
                params[name].data[~masks[name]] = 0
                for key, moment in optimizer.state[params[name]].items():
                    if key != "step":
                        moment[~masks[name]] = 0
            continue
        for name, alive in masks.items():
            params[name].grad[~alive] = 0  # pyright: ignore
        optimizer.step()
    assert pruning.mask == Mask(masks)
    assert [one.step for one in pruning.changes][:4] == [0, 5, 10, 15]
    for name, param in module.network.named_parameters():  # pyright: ignore
        torch.testing.assert_close(param, params[name], rtol=0, atol=1e-10)
