"""From a ticket to the network that answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from lt_lightning.tickets.file import Packed
from lt_lightning.tickets.numpy.cnn import Convolution
from lt_lightning.tickets.numpy.rnn import Recurrence


class Network(Protocol):
    """What gives texts their logits."""

    def logits(self, texts: Sequence[np.ndarray]) -> np.ndarray:
        """The logits (texts, logits), float32, of texts of word ids, (words,) integers each."""
        ...


def build_network(packed: Packed) -> Network:
    """The network of a ticket, ready to answer."""
    return Recurrence(packed) if "rnn.weight_ih_l0" in packed.parameters else Convolution(packed)
