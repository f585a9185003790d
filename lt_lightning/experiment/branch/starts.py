"""Compute the mask and the weights that each round of a branch begins with, and keep them until the round is over."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from lt_lightning.callbacks.finite_loss import first_not_finite
from lt_lightning.errors import SettingError
from lt_lightning.experiment.branch.trunk import Trunk
from lt_lightning.lottery import Mask, Settings, Start, control_mask, derive_seed, reinitialize, shuffle_weights
from lt_lightning.lottery.beginning import renew
from lt_lightning.lottery.rewinding import restore, snapshot
from lt_lightning.lottery.selection import matching_parameters
from lt_lightning.lottery.settings import Rewind
from lt_lightning.runs.masks import MASK
from lt_lightning.runs.round_ticket import RoundTicket, check_parameters, read_rewind_weights
from lt_lightning.runs.rounds import rewind_path, ticket_path
from lt_lightning.storage.lock import STATE
from lt_lightning.storage.sealed import read_sealed, write_sealed

_FORMAT, _VERSION = "lt-lightning start", "1"


@dataclass(frozen=True)
class Starts:
    """The starts of a branch's rounds, computed from the files of its trunk.

    Attributes:
        trunk: the trunk.
        settings: the settings of the branch; `rewind`, `mask`, `redraw`, `keep`, `renew`, `pattern` and `seed` are
            used.
        network: a network to write weights into; what it holds does not matter.
    """

    trunk: Trunk
    settings: Settings
    network: nn.Module

    def compute(self, number: int) -> Start:
        """Return the mask and all weights of a round, the pruned ones 0.

        Raises:
            SettingError: a file of the trunk is damaged or of another network, or the mask has no control.
            LotteryError: a parameter cannot be drawn again, or a pattern matches no parameter.
        """
        ticket = self._ticket(number)
        mask = self._mask(number, ticket)
        seed = derive_seed(self.settings.seed, "rewind", number)
        restore(self.network, ticket.weights if self.trunk.source in ("trained", "drawn") else self._shared)
        params = dict(self.network.named_parameters())
        if self.trunk.source == "drawn":
            reinitialize(self.network, seed, None, self.settings.redraw)
        elif Rewind.parse(self.settings.rewind).point == "shuffle":
            shuffle_weights({name: params[name] for name in mask}, seed)
        if self.settings.keep:
            trained_on = matching_parameters(self.network, "keep", self.settings.keep)
            restore(self.network, {name: ticket.weights[name] for name in trained_on})
        renew(self.network, self.settings, number)
        mask.apply_(params)
        return Start(mask, {name: value.cpu() for name, value in snapshot(self.network).items()})

    def _ticket(self, number: int) -> RoundTicket:
        path = ticket_path(self.trunk.folder, number)
        ticket = RoundTicket.load(path)
        check_parameters(path, ticket.weights, self.network.state_dict())
        if name := first_not_finite(ticket.weights.items()):
            raise SettingError(f"{path}: the weights {name!a} are not finite, so that no round can begin with them")
        # In the order of the parameters; a file has another.
        mask = {name: ticket.mask[name] for name, _ in self.network.named_parameters() if name in ticket.mask}
        return RoundTicket(ticket.weights, Mask(mask), ticket.about, ticket.tokenizer)

    @cached_property
    def _full(self) -> RoundTicket:
        return self._ticket(0)

    @cached_property
    def _shared(self) -> dict[str, Tensor]:
        """The weights that all rounds begin with, before their masks."""
        if self.trunk.source == "full":
            return dict(self._full.weights)
        weights, known = read_rewind_weights(self.trunk.folder), self.network.state_dict()
        path = rewind_path(self.trunk.folder)
        check_parameters(path, {name: weights[name] for name in weights if name in known}, known)
        return weights

    def _mask(self, number: int, ticket: RoundTicket) -> Mask:
        """Return the mask of a round: the ticket's, or a control."""
        kind, full = self.settings.mask, self.trunk.branch.full
        if kind == "pruned":
            return ticket.mask
        within = Mask.ones(ticket.mask) if full.alive == full.total else self._full.mask
        if ticket.mask.alive == within.alive and number == 0 and full.alive < full.total:
            raise SettingError(
                f"pruning.mask: the network of {self.trunk.folder} was pruned before round 0 trained, so that {kind} "
                f"has no other places; give pruning.mask={kind} to a run of its own"
            )
        scores = {name: self._full.weights[name].abs() for name in ticket.mask} if kind == "invert" else None
        seed = derive_seed(self.settings.seed, "mask", number)
        return control_mask(kind, ticket.mask, within, seed, scores, self.settings.pattern)  # pyright: ignore


def write_start(run: Path, number: int, start: Start) -> None:
    """Write the start of a round to `state/`; raise OSError if the file cannot be written."""
    tensors = {**start.weights, **{MASK + name: alive for name, alive in start.mask.items()}}
    write_sealed(_path(run, number), tensors, {"format": _FORMAT, "version": _VERSION, "round": number})


def read_start(run: Path, number: int) -> Start | None:
    """Read the start of a round; return None if it is not there, as once the round is over.

    Raises:
        SettingError: the file is damaged.
    """
    path = _path(run, number)
    if not path.exists():
        return None
    tensors, _ = read_sealed(path, _FORMAT, _VERSION)
    mask = {name.removeprefix(MASK): tensor for name, tensor in tensors.items() if name.startswith(MASK)}
    if any(tensor.dtype != torch.bool for tensor in mask.values()):
        raise SettingError(f"{path}: has a mask that is none; remove it, and the start is read from the trunk again")
    return Start(Mask(mask), {name: tensor for name, tensor in tensors.items() if not name.startswith(MASK)})


def drop_start(run: Path, number: int) -> None:
    """Remove the start of a round that is over; raise OSError if it cannot be removed."""
    _path(run, number).unlink(missing_ok=True)


def _path(run: Path, number: int) -> Path:
    return run / STATE / f"start_{number:02}.safetensors"
