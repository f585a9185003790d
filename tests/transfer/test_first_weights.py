"""The weights that a ticket's run began with, drawn again: the same, or not believed."""

from __future__ import annotations

import pytest
import torch

from lt_lightning.errors import SettingError
from lt_lightning.export import main as export
from lt_lightning.tickets.format import Packed
from lt_lightning.transfer.first_weights import draw_first_weights, first_values

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec")


@pytest.mark.parametrize("flags", [[], ["--first-weights"]], ids=["drawn again", "in the file"])
def test_an_exported_ticket_knows_what_its_run_began_with(source, tmp_path, flags: list[str]) -> None:
    path = tmp_path / "ticket.safetensors"
    assert export([str(source.folder), "--round", "2", "-o", str(path), *flags]) == 0
    packed, state = Packed.load(path), torch.get_rng_state()
    assert (packed.first is None) == (not flags)
    for name, values in first_values(packed, path).items():
        begun = source.starts[0][name][source.ticket(2).mask[name]]
        assert values.tolist() == begun.tolist()
    assert torch.equal(torch.get_rng_state(), state)


def test_all_that_was_drawn_is_drawn_again(source, pack) -> None:
    drawn = draw_first_weights(Packed.load(pack(source, 1)).about)
    assert drawn.keys() == source.starts[0].keys()
    assert all(torch.equal(drawn[name], weights) for name, weights in source.starts[0].items())


def test_weights_that_are_drawn_otherwise_are_refused(source, pack) -> None:
    path = pack(source, 1)
    packed = Packed.load(path)
    packed.about["first"]["seed"] += 1
    with pytest.raises(SettingError, match=r"draws other weights of embedding\.weight .* --first-weights"):
        first_values(packed, path)
