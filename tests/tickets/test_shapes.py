"""The parameters that follow from a ticket's settings are those that the networks have."""

from __future__ import annotations

from typing import Any

import pytest

from lt_lightning.models import BinaryCNN, MultiCNN, RecurrentClassifier
from lt_lightning.tickets.header import expected_shapes


def about(model: dict[str, Any], classes: int) -> dict[str, Any]:
    return {"model": model, "words": 11, "embedding_dim": 7, "class_names": [str(n) for n in range(classes)]}


@pytest.mark.parametrize("classes", [2, 5])
def test_of_convolutional_networks(classes):
    settings: dict[str, Any] = {"filters": 6, "widths": [2, 5], "dim": 7}
    network = BinaryCNN(11, **settings) if classes == 2 else MultiCNN(11, classes, **settings)
    model = {"name": "cnn", "filters": 6, "widths": [2, 5]}
    shapes = {name: tuple(weight.shape) for name, weight in network.state_dict().items()}
    assert expected_shapes(about(model, classes)) == shapes


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("cell", ["rnn", "gru", "gru_chung", "lstm"])
def test_of_recurrent_networks(cell, bidirectional, classes):
    settings: dict[str, Any] = {"cell": cell, "hidden": 3, "layers": 2, "bidirectional": bidirectional}
    network = RecurrentClassifier(11, None if classes == 2 else classes, dim=7, backend="equations", **settings)
    shapes = {name: tuple(weight.shape) for name, weight in network.state_dict().items()}
    assert expected_shapes(about({"name": "birnn", **settings}, classes)) == shapes
