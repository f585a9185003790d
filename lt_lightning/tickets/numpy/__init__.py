"""Prediction with NumPy alone: convolutions and recurrent layers that skip a ticket's zeros."""

from __future__ import annotations

from lt_lightning.tickets.file import Packed
from lt_lightning.tickets.numpy.cnn import Convolution
from lt_lightning.tickets.numpy.rnn import Recurrence


def build_network(packed: Packed) -> Convolution | Recurrence:
    """Return the network of a ticket."""
    return Recurrence(packed) if "rnn.weight_ih_l0" in packed.parameters else Convolution(packed)
