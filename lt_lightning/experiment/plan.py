"""The plan of a run: the numbers of its rounds, and what each begins from.

A lottery's rounds 0, 1, 2, … each begin from the one before. The rounds of a branch each begin from a ticket of its
trunk, and keep that ticket's number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from torch import nn

from lt_lightning.callbacks import PruningCallback
from lt_lightning.config.schema import Config
from lt_lightning.config.validation import lottery_settings
from lt_lightning.errors import SettingError
from lt_lightning.experiment.branch.starts import Starts, drop_start, read_start, write_start
from lt_lightning.experiment.branch.trunk import Trunk, read_trunk
from lt_lightning.experiment.disk_space import Counts, expected_counts
from lt_lightning.experiment.exhaustion import check_rounds
from lt_lightning.experiment.resume.restore import take_up
from lt_lightning.experiment.subject import Subject
from lt_lightning.experiment.trainer import make_trainer
from lt_lightning.lottery import Lottery, LotteryError, Mask, Settings, Start, prunable_parameters
from lt_lightning.runs.branch import Branch, read_branch, write_branch
from lt_lightning.runs.description import Description
from lt_lightning.runs.masks import read_masks
from lt_lightning.runs.rounds import PlayedRound, ticket_path


class RunPlan(Protocol):
    """The rounds of a run in order, and what each begins from."""

    rounds: Sequence[int]
    rewinds: bool
    """Whether rounds rewind to weights that the first of them keeps."""

    def describe(self, description: Description) -> Description:
        """Return the description of the run with what the plan adds."""
        ...

    def prepare(self, played: Sequence[PlayedRound]) -> None:
        """Restore what the rounds after these begin from, and raise a `SettingError` if one of them cannot be run."""
        ...

    def write(self) -> None:
        """Write what resuming needs, as a new run begins; raise OSError if it cannot be written."""
        ...

    def begin(self, number: int) -> PruningCallback:
        """Return the callback that prunes in a round."""
        ...

    def before(self, played: Sequence[PlayedRound]) -> int | None:
        """Return how many entries the next round may leave at most, none of them pruned; None for any number."""
        ...

    def expect(self, played: Sequence[PlayedRound]) -> Mapping[int, Counts]:
        """Return how many entries of each parameter the rounds after these are expected to leave alive."""
        ...

    def finish(self, number: int) -> None:
        """Remove what a round that is on record no longer needs."""
        ...


class LotteryPlan:
    """The rounds 0, 1, 2, … of one lottery: each prunes what the one before has trained.

    Args:
        config: the settings.
        run: the run directory.
        subject: what is trained.
        start: the mask and the weights of round 0; None for the whole network.
    """

    def __init__(self, config: Config, run: Path, subject: Subject, start: Start | None) -> None:
        self.rounds: Sequence[int] = range(config.pruning.rounds + 1)
        self._run, self._network, self._start = run, subject.network, start
        self._settings = lottery_settings(config)
        self._pruning = PruningCallback(submodule=subject.submodule, start=start, **vars(self._settings))
        self.rewinds = self._pruning.keeps_weights

    def describe(self, description: Description) -> Description:
        """Return the description as it is."""
        return description

    def prepare(self, played: Sequence[PlayedRound]) -> None:
        """Restore the network and the lottery as they were after these rounds, and check how far later rounds prune."""
        take_up(self._run, played, self._network, self._pruning)
        mask = _mask(self._network, self._settings, self._pruning, self._start)
        lottery = Lottery(self._settings)
        lottery.check(self._network, lottery.parameters(self._network))
        check_rounds(mask, self._settings, first=max(1, len(played)), rounds=self.rounds[-1])

    def write(self) -> None:
        """Remove the record of a branch that a start in this directory left before it began."""
        write_branch(self._run, None)

    def begin(self, number: int) -> PruningCallback:
        """Return the callback of all rounds."""
        return self._pruning

    def before(self, played: Sequence[PlayedRound]) -> int | None:
        """Return the number of entries alive in the last of these rounds."""
        return played[-1].record.alive if played else None

    def expect(self, played: Sequence[PlayedRound]) -> Mapping[int, Counts]:
        """Return the counts that follow from the settings."""
        mask = _mask(self._network, self._settings, self._pruning, self._start)
        return expected_counts(mask, self._settings, len(played), self.rounds[-1])

    def finish(self, number: int) -> None:
        """Do nothing."""


def _mask(network: nn.Module, settings: Settings, pruning: PruningCallback, start: Start | None) -> Mask:
    """Return the mask before the next round prunes."""
    if pruning.round >= 0:
        return pruning.mask
    whole = Mask.ones(prunable_parameters(network, settings.include, settings.exclude))
    return whole if start is None else Mask({**whole, **start.mask})


class BranchPlan:
    """The rounds of a branch: each trains a ticket of the trunk, and none prunes.

    Args:
        config: the settings.
        run: the run directory.
        subject: what is trained.
        environment: describes the run's processes.
        branch: what the run takes over.
        trunk: the trunk; None for a run that resumes, which reads the trunk only if its own files are gone.
    """

    def __init__(
        self,
        config: Config,
        run: Path,
        subject: Subject,
        environment: ClusterEnvironment,
        branch: Branch,
        trunk: Trunk | None,
    ) -> None:
        self.rounds: Sequence[int] = branch.rounds
        self.rewinds = False
        self._branch, self._trunk = branch, trunk
        self._config, self._run, self._subject, self._environment = config, run, subject, environment
        self._settings = lottery_settings(config)

    def describe(self, description: Description) -> Description:
        """Return the description with the trunk, and the ticket that the trunk began with."""
        ticket = None if self._trunk is None else self._trunk.description.ticket
        return replace(description, branch=self._branch, ticket=ticket)

    def prepare(self, played: Sequence[PlayedRound]) -> None:
        """Convert the network to the precision of the fits, as weights of that precision are written into it."""
        trainer = make_trainer(self._config.trainer, [], self._run, self._environment)
        trainer.precision_plugin.convert_module(self._subject.module)

    def write(self) -> None:
        """Write the record of the trunk and the starts of all rounds, so that resuming does not need the trunk."""
        write_branch(self._run, self._branch)
        for number in self.rounds:
            write_start(self._run, number, self._starts(number).compute(number))

    def begin(self, number: int) -> PruningCallback:
        """Return a callback that begins with the round's mask and weights, and prunes nothing."""
        start = read_start(self._run, number)
        start = self._starts(number).compute(number) if start is None else start
        plain = Settings(include=self._settings.include, exclude=self._settings.exclude, rewind="none")
        return PruningCallback(submodule=self._subject.submodule, start=start, **vars(plain))

    def before(self, played: Sequence[PlayedRound]) -> int | None:
        """Return None: a ticket is as sparse as it is."""
        return None

    def expect(self, played: Sequence[PlayedRound]) -> Mapping[int, Counts]:
        """Return the counts of the trunk's tickets, or of the starts on disk; none for a round that has neither."""
        found: dict[int, Counts] = {}
        for number in self.rounds[len(played) :]:
            if self._trunk is not None:
                masks = read_masks(ticket_path(self._trunk.folder, number)).masks
                found[number] = {name: alive.count(1) for name, alive in masks.items()}
            else:
                start = read_start(self._run, number)
                found[number] = {} if start is None else start.mask.counts
        return found

    def finish(self, number: int) -> None:
        """Remove the start of the round."""
        drop_start(self._run, number)

    def _starts(self, number: int) -> Starts:
        """Return the starts that the trunk gives, which a run that resumes reads again."""
        if self._trunk is not None:
            return Starts(self._trunk, self._settings, self._subject.network)
        branch = replace(self._config.branch, rounds=[number])
        try:
            trunk = read_trunk(replace(self._config, branch=branch))
        except (SettingError, LotteryError) as error:
            raise SettingError(
                f"branch.of: round {number} of {self._run} begins anew, for which its trunk is needed: {error}"
            ) from error
        assert trunk is not None
        place = self.rounds.index(number)
        if trunk.branch.tickets[0] != self._branch.tickets[place]:
            raise SettingError(
                f"branch.of: round {number} of {trunk.folder} has another ticket than when {self._run} began; bring "
                "that one back, or start another branch"
            )
        return Starts(trunk, self._settings, self._subject.network)


def make_plan(
    config: Config,
    run: Path,
    subject: Subject,
    start: Start | None,
    environment: ClusterEnvironment,
    *,
    resuming: bool,
) -> RunPlan:
    """Return the plan of a run.

    Args:
        config: the settings.
        run: the run directory.
        subject: what is trained.
        start: the mask and the weights of round 0, from a packed ticket.
        environment: describes the run's processes.
        resuming: whether the directory holds the beginning of the run.

    Raises:
        SettingError: the trunk of a branch does not fit, or a branch that resumes has lost the record of its trunk.
        LotteryError: the pruning settings do not fit.
    """
    if config.branch.of is None:
        return LotteryPlan(config, run, subject, start)
    trunk = None if resuming else read_trunk(config)
    branch = read_branch(run) if trunk is None else trunk.branch
    if branch is None:
        raise SettingError(
            f"resume: {run}: has no record of the run that it is a branch of, state/branch.json; restore it from a "
            "copy, or start another branch"
        )
    return BranchPlan(config, run, subject, environment, branch, trunk)
