"""Compute the mask and the weights that a round of a run trained from."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from lt_lightning.config.schema import Config
from lt_lightning.config.validation import lottery_settings
from lt_lightning.experiment.own_encoder import require_weights
from lt_lightning.experiment.transfer.starting import find_start
from lt_lightning.lottery import Lottery, Mask, Settings, Start, derive_seed, reinitialize
from lt_lightning.lottery.rewinding import digest, restore, snapshot
from lt_lightning.lottery.settings import Rewind
from lt_lightning.models.tasks import DataModule
from lt_lightning.runs.round_ticket import RoundTicket, check_parameters, read_rewind_weights
from lt_lightning.runs.rounds import rewind_path, ticket_path


def find_round_start(run: Path, config: Config, network: nn.Module, data: DataModule, number: int) -> Start:
    """Return the mask and all weights that a round of a run trained from, on the CPU, the pruned ones 0.

    Args:
        run: the run directory; its ticket of the round, and of the one before if weights come from it, must be there.
        config: the settings of the run.
        network: the network with the first weights that the run's seed draws; it is written to.
        data: the data of the run.
        number: the round.

    Raises:
        SettingError: a file is damaged, or holds the weights of another network.
    """
    settings = lottery_settings(config)
    rewind = Rewind.parse(settings.rewind)
    mask = _load(run, number, network).mask
    if number:
        # As the run itself rewinds: from the state after the round before.
        before = ticket_path(run, number - 1)
        lottery = Lottery(settings)
        if before.exists():
            ticket = _load(run, number - 1, network)
            set_type(network, ticket)
            restore(network, ticket.weights)
        else:
            set_type(network, _load(run, number, network))
        weights = None if rewind.point in ("random", "none") else _read_rewind(run, network)
        lottery.load_state_dict({"round": number - 1, "training": False, "mask": dict(mask), "rewind_weights": weights})
        lottery.rewrite(network, _parameters(network, mask), mask, {})
    elif rewind.at_start:
        restore(network, _read_rewind(run, network))  # kept as round 0 began, behind its ticket or its draw
    else:
        _begin(config, settings, network, data)
    mask.apply_(dict(network.named_parameters()))
    # Constants such as a causal mask of -inf are as the network was built.
    return Start(mask, {name: value.cpu() for name, value in snapshot(network).items() if value.isfinite().all()})


def _begin(config: Config, settings: Settings, network: nn.Module, data: DataModule) -> None:
    """Write the weights of a round 0 that the run does not rewind to."""
    require_weights(getattr(data, "encoder", None))
    start, _ = find_start(config, network, data.words)
    draws = Rewind.parse(settings.rewind).point == "random"
    seed = derive_seed(settings.seed, "rewind", 0)
    if draws and (start is not None or settings.plan.is_single):
        reinitialize(network, seed, None, settings.redraw)
    if start is not None and not (draws and settings.plan.is_single):
        restore(network, start.weights)


def set_type(network: nn.Module, ticket: RoundTicket) -> None:
    """Convert a network to the precision of a ticket, that of the run's fits."""
    if dtypes := [weight.dtype for weight in ticket.weights.values() if weight.is_floating_point()]:
        network.to(dtypes[0])


def mark(start: Start) -> str:
    """Return a digest of a start."""
    return digest([*start.mask.items(), *sorted(start.weights.items())]).hex()


def _load(run: Path, number: int, network: nn.Module) -> RoundTicket:
    path = ticket_path(run, number)
    ticket = RoundTicket.load(path)
    check_parameters(path, ticket.weights, network.state_dict())
    # In the order of the parameters; a file has another.
    mask = {name: ticket.mask[name] for name, _ in network.named_parameters() if name in ticket.mask}
    return RoundTicket(ticket.weights, Mask(mask), ticket.about, ticket.tokenizer)


def _parameters(network: nn.Module, mask: Mask) -> dict[str, nn.Parameter]:
    return {name: param for name, param in network.named_parameters() if name in mask}


def _read_rewind(run: Path, network: nn.Module) -> dict[str, torch.Tensor]:
    weights, known = read_rewind_weights(run), network.state_dict()
    # Tied parameters have one name there and several in the state.
    check_parameters(rewind_path(run), {name: weights[name] for name in weights if name in known},
                     {name: value for name, value in known.items() if name in weights})  # fmt: skip
    return weights
