"""What an encoder-decoder owes: greedy decoding is its own best guess, step by step, whatever the company."""

import pytest
import torch

from lt_lightning.models import EncoderDecoder

LETTERS, END = 6, 6


def make(cell: str, backend: str = "torch") -> EncoderDecoder:
    torch.manual_seed(1)
    return EncoderDecoder(LETTERS, cell=cell, backend=backend, dim=5, hidden=9, layers=2).double().eval()  # pyright: ignore


def strings(*lengths: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    sources = torch.randint(0, LETTERS, (len(lengths), max(lengths)), generator=generator)
    for row, length in enumerate(lengths):
        sources[row, length:] = END
    return sources, torch.tensor(lengths)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_greedy_letters_are_the_likeliest_after_those_already_written(cell: str) -> None:
    network = make(cell)
    sources, lengths = strings(4, 7, 1)
    written = network.greedy(sources, lengths, 8)
    for row in range(3):
        source, letters = sources[row : row + 1, : lengths[row]], [END]
        for step in range(8):  # brute force: the whole network anew for each letter
            logits = network(source, lengths[row : row + 1], torch.tensor([letters]))
            letter = END if END in letters[1:] else int(logits[0, -1].argmax())
            assert written[row, step] == letter
            letters.append(letter)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("backend", ["torch", "equations"])
def test_logits_do_not_depend_on_the_company_or_on_padding(cell: str, backend: str) -> None:
    network = make(cell, backend)
    sources, lengths = strings(3, 8, 5)
    given = torch.cat([torch.full((3, 1), END), sources], dim=1)
    together = network(sources, lengths, given)
    for row in range(3):
        alone = network(sources[row : row + 1, : lengths[row]], lengths[row : row + 1], given[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-12)


def test_nothing_is_written_after_the_end() -> None:
    network = make("gru")
    with torch.no_grad():
        network.fc.bias[END] = 100.0
    assert (network.greedy(*strings(5, 2), 6) == END).all()


def test_the_answer_depends_on_the_whole_string_that_was_read() -> None:
    network = make("lstm")
    sources, lengths = strings(6)
    given = torch.full((1, 1), END)
    for place in range(6):
        changed = sources.clone()
        changed[0, place] = (changed[0, place] + 1) % LETTERS
        assert not torch.equal(network(changed, lengths, given), network(sources, lengths, given))


def test_decoding_leaves_no_gradient() -> None:
    assert not make("gru").greedy(*strings(4), 5).requires_grad


def test_weights_start_as_the_design_says_and_can_be_drawn_again() -> None:
    torch.manual_seed(0)
    network = EncoderDecoder(LETTERS, cell="lstm", dim=16, hidden=32, embedding_std=0.5)
    before = {name: value.clone() for name, value in network.named_parameters()}
    network.reset_parameters()
    for name, value in network.named_parameters():
        if "bias" in name:
            assert not value.any()
            continue
        assert not torch.equal(value, before[name]), name
        if "weight_hh" in name:
            torch.testing.assert_close(value.T @ value, torch.eye(32), atol=1e-5, rtol=0)
    assert network.source_embedding.weight.std().item() == pytest.approx(0.5, rel=0.2)
