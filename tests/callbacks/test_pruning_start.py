"""`PruningCallback` that begins with a ticket from elsewhere, in plain Lightning code."""

from __future__ import annotations

import pytest
import torch
from pruning_helpers import Batches, Classifier, Witness, equal, make_trainer, masked
from torch import optim

from lt_lightning.callbacks import PruningCallback
from lt_lightning.lottery import Start

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.* is deprecated")  # between Lightning and torch


def test_a_ticket_found_on_one_module_is_what_another_begins_with() -> None:
    module, found, witness = Classifier(), PruningCallback(amount=0.4), Witness()
    for round in range(3):
        witness = Witness()
        make_trainer(found, witness).fit(module, Batches(seed=round))
    other = Classifier(lambda params: optim.Adam(params, 0.05))
    with torch.no_grad():
        other.head.weight.add_(1)
    pruning = PruningCallback(amount=0.4, start=Start(found.mask, witness.start))
    seen, later = Witness(), Witness()
    make_trainer(pruning, seen).fit(other, Batches(seed=9))
    assert equal(seen.start, witness.start)
    assert pruning.mask == found.mask
    assert all(equal(weights, masked(weights, found.mask)) for weights in (*seen.steps, seen.end))
    assert not equal(seen.start, seen.end)
    make_trainer(pruning, later).fit(other, Batches(seed=10))
    assert pruning.mask.is_subset_of(found.mask)
    assert pruning.mask.alive < found.mask.alive
    assert equal(later.start, masked(seen.start, pruning.mask))
