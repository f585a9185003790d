"""The trial of padding compares the notebook's network with this project's, and finds what padding alone changes."""

import torch
import torch.nn.functional as F

from lt_lightning.data.batches import Batch
from lt_lightning.data.tokenizer import PADDING
from lt_lightning.models import MultiCNN
from trials.padding import PaddedCNN, compare

WORDS, CLASSES = 40, 3


def made(kind: type[MultiCNN]) -> MultiCNN:
    torch.manual_seed(0)
    return kind(WORDS, CLASSES, dim=5, filters=4, kernel="reference").double()


def batches(shortest: int) -> list[Batch]:
    """Four batches of eight texts of 9 words, or of `shortest` to 9."""
    generator = torch.Generator().manual_seed(1)
    found = []
    for _ in range(4):
        lengths = torch.randint(shortest, 10, (8,), generator=generator)
        ids = torch.randint(2, WORDS, (8, 9), generator=generator)
        ids[torch.arange(9) >= lengths[:, None]] = PADDING
        found.append(Batch(ids, lengths, torch.randint(CLASSES, (8,), generator=generator), 8, int(lengths.sum())))
    return found


def test_padding_takes_part_as_in_a_convolution_over_the_whole_picture() -> None:
    network = made(PaddedCNN).eval()
    [batch, *_] = batches(shortest=3)
    picture = network.embedding(batch.ids)[:, None]
    features = [
        F.conv2d(picture, conv.get_parameter("weight").transpose(1, 2)[:, None], conv.get_parameter("bias"))
        .squeeze(3).relu().amax(dim=2)
        for conv in network.convs
    ]  # fmt: skip
    expected = network.fc(torch.cat(features, dim=1))
    assert torch.allclose(network(batch.ids, batch.lengths), expected, rtol=0, atol=1e-12)
    assert not torch.allclose(made(MultiCNN).eval()(batch.ids, batch.lengths), expected, rtol=0, atol=1e-3)


def test_masks_differ_where_there_is_padding_and_nowhere_else() -> None:
    network, padded = made(MultiCNN), PaddedCNN(WORDS, CLASSES, dim=5, filters=4, kernel="reference").double()
    first = {name: value.clone() for name, value in network.state_dict().items()}
    for shortest, differ in ((9, False), (3, True)):
        network.load_state_dict(first)
        found = list(compare(network, padded, [batches(shortest)] * 3))
        assert [pruned > 0 for _, pruned, _ in found] == [True] * 3
        assert [count > 0 for count, _, _ in found] == [differ] * 3
