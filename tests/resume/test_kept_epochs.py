"""What an epoch's file holds, and that it is enough."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from cutting import EPOCHS, STEPS, Play, StopError

from lt_lightning.experiment.round_checkpoint import kept_checkpoints

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec")


@pytest.mark.parametrize(("round", "has_weights"), [(0, True), (1, False)])
def test_weights_to_rewind_to_are_in_an_epochs_file_until_they_have_a_file_of_their_own(
    play: Play, steps: list[int], whole: Path, tmp_path: Path, round: int, has_weights: bool
) -> None:
    run = tmp_path / "run"
    steps[1] = (round * EPOCHS + 1) * STEPS + 3  # in the second epoch of the round
    with pytest.raises(StopError):
        play(run)
    (kept,) = kept_checkpoints(run / "state")
    (state,) = (
        state for key, state in torch.load(kept, weights_only=True)["callbacks"].items() if "PruningCallback" in key
    )
    assert (state["round"], "rewind_weights" in state) == (round, has_weights)
    assert (run / "state/rewind.safetensors").exists() != has_weights
    steps[1] = sys.maxsize
    play(run, resuming=True)
    for ticket in sorted((whole / "tickets").iterdir()):
        assert (run / "tickets" / ticket.name).read_bytes() == ticket.read_bytes()
