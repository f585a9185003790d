"""What each task counts, against loops over letters."""

import math
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from lt_lightning.data.batches import Batch
from lt_lightning.data.pair_module import PairBatch
from lt_lightning.data.tokenizer import PADDING
from lt_lightning.models import EncoderDecoder, Learner, Tagger
from lt_lightning.models.embedding import LetterEmbedding, WordEmbedding
from lt_lightning.models.learner import exact_rows
from lt_lightning.models.tasks import Answers, LanguageModel, SequenceToSequence, Tagging

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers")

LETTERS = 4


def pairs(sources: list[list[int]], targets: list[list[int]]) -> PairBatch:
    def padded(strings: list[list[int]]) -> torch.Tensor:
        longest = max(map(len, strings))
        return torch.tensor([[*string, *[LETTERS] * (longest - len(string))] for string in strings])

    lengths = [torch.tensor([len(string) for string in strings]) for strings in (sources, targets)]
    letters = sum(map(len, targets))
    return PairBatch(padded(sources), lengths[0], padded(targets), lengths[1], len(sources), letters)


def texts(*rows: list[int]) -> Batch:
    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[PADDING] * (longest - len(row))] for row in rows])
    lengths = torch.tensor([len(row) for row in rows])
    return Batch(ids, lengths, torch.zeros(len(rows), dtype=torch.long), len(rows), sum(map(len, rows)))


def measure(learner: Learner, *batches: Any) -> dict[str, float]:
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    loader = DataLoader(batches, batch_size=None)  # pyright: ignore[reportArgumentType]
    return dict(trainer.test(learner, loader, verbose=False)[0])


def sgd(parameters: object) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.0)  # pyright: ignore[reportArgumentType]


def a_tagger() -> Tagger:
    torch.manual_seed(0)
    return Tagger(LetterEmbedding(LETTERS, 3), LETTERS, cell="gru", hidden=6)


def a_language_model(words: int = 6) -> Tagger:
    torch.manual_seed(0)
    return Tagger(WordEmbedding(words, 3), words, cell="gru", hidden=6)


def an_encoder_decoder() -> EncoderDecoder:
    torch.manual_seed(0)
    return EncoderDecoder(LETTERS, cell="gru", dim=3, hidden=6)


def test_tagging_is_measured_letter_by_letter_and_string_by_string() -> None:
    network = a_tagger()
    sources = [[0, 1, 2], [3], [2, 2]]
    answers = [[int(logits.argmax()) for logits in network(torch.tensor([source]))[0]] for source in sources]
    targets = [[*answers[0][:2], (answers[0][2] + 1) % LETTERS], answers[1], answers[2]]  # one letter of six is wrong
    measured = measure(
        Learner(network, LETTERS, sgd, Tagging()), pairs(sources[:2], targets[:2]), pairs(sources[2:], targets[2:])
    )
    losses = [
        -network(torch.tensor([source])).log_softmax(2)[0, place, letter].item()
        for source, target in zip(sources, targets, strict=True)
        for place, letter in enumerate(target)
    ]
    assert measured["test_loss"] == pytest.approx(sum(losses) / 6, abs=1e-6)
    assert measured["test_acc"] == pytest.approx(5 / 6)
    assert measured["test_exact"] == pytest.approx(2 / 3)
    assert "test_perplexity" not in measured


def test_a_language_model_is_measured_by_each_letter_and_the_end_given_all_before() -> None:
    network = a_language_model()
    rows = [[2, 3, 4], [5], [3, 3]]
    measured = measure(Learner(network, 6, sgd, LanguageModel()), texts(*rows[:2]), texts(rows[2]))
    losses = []
    for row in rows:
        for place, letter in enumerate([*row, PADDING]):
            logits = network(torch.tensor([[PADDING, *row[:place]]]))[0, -1]
            losses.append(-logits.log_softmax(0)[letter].item())
    assert len(losses) == 3 + 1 + 2 + 3
    assert measured["test_loss"] == pytest.approx(sum(losses) / len(losses), abs=1e-6)
    assert measured["test_perplexity"] == pytest.approx(math.exp(sum(losses) / len(losses)), rel=1e-6)
    assert "test_exact" not in measured


def test_an_encoder_decoder_learns_with_the_right_letters_and_is_tested_on_its_own() -> None:
    network = an_encoder_decoder()
    sources = [[0, 1, 2], [3, 0], [2, 2, 1, 0]]
    written = [network.greedy(torch.tensor([s]), torch.tensor([len(s)]), 9)[0].tolist() for s in sources]
    own = [letters[: letters.index(LETTERS)] if LETTERS in letters else letters[:4] for letters in written]
    targets = [own[0] or [1], [1, 2], own[2] or [1]]
    learner = Learner(network, LETTERS + 1, sgd, SequenceToSequence(LETTERS))
    measured = measure(learner, pairs(sources[:2], targets[:2]), pairs(sources[2:], targets[2:]))
    losses, right, exact = [], 0, 0
    for source, target, letters in zip(sources, targets, written, strict=True):
        expected = [*target, LETTERS]
        logits = network(torch.tensor([source]), torch.tensor([len(source)]), torch.tensor([[LETTERS, *target]]))[0]
        losses += [-logits.log_softmax(1)[place, letter].item() for place, letter in enumerate(expected)]
        answered = [letters[place] if LETTERS not in letters[:place] else LETTERS for place in range(len(expected))]
        right += sum(one == other for one, other in zip(answered, expected, strict=True))
        exact += answered == expected
    assert measured["test_loss"] == pytest.approx(sum(losses) / len(losses), abs=1e-6)
    assert measured["test_acc"] == pytest.approx(right / len(losses))
    assert measured["test_exact"] == pytest.approx(exact / 3)


@pytest.mark.parametrize(("learner", "batch"), [
    (lambda: Learner(a_tagger(), LETTERS, sgd, Tagging()), pairs([[0, 1, 2], [3]], [[1, 2, 2], [0]])),
    (lambda: Learner(a_language_model(), 6, sgd, LanguageModel()), texts([2, 3, 4], [5])),
    (
        lambda: Learner(an_encoder_decoder(), LETTERS + 1, sgd, SequenceToSequence(LETTERS)),
        pairs([[0, 1, 2], [3]], [[2, 1, 0], [3]]),
    ),
])  # fmt: skip
def test_processes_with_unequal_letters_average_to_the_global_batchs_gradient(learner, batch):
    def gradients(part: Any, processes: int) -> list[torch.Tensor]:
        made = learner()
        made._trainer = type("Trainer", (), {"world_size": processes})()  # pyright: ignore
        made.training_step(part, 0).backward()
        return [parameter.grad for parameter in made.network.parameters() if parameter.grad is not None]

    def share(row: int) -> Any:
        tensors = [value[row : row + 1] if isinstance(value, torch.Tensor) else value for value in batch]
        return type(batch)(*tensors)

    whole = gradients(batch, 1)
    for mean, first, second in zip(whole, gradients(share(0), 2), gradients(share(1), 2), strict=True):
        torch.testing.assert_close((first + second) / 2, mean)


def test_a_row_is_exact_only_if_each_of_its_answers_is_right() -> None:
    targets, rows = torch.tensor([1, 2, 0, 3, 3, 1]), torch.tensor([0, 0, 1, 2, 2, 2])
    answers = Answers(torch.zeros(6, 4), targets, rows, 6)
    for place in range(6):
        predicted = targets.clone()
        predicted[place] = (targets[place] + 1) % 4
        exact = [all(predicted[rows == row] == targets[rows == row]) for row in range(3)]
        assert exact_rows(predicted, answers).tolist() == exact
        assert sum(exact) == 2


def test_a_network_that_predicts_perfectly_has_a_perplexity_of_one() -> None:
    class Oracle(nn.Module):
        def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
            following = torch.cat([ids[:, 1:], torch.full_like(ids[:, :1], PADDING)], dim=1)
            return 100.0 * nn.functional.one_hot(following, 6)

    measured = measure(Learner(Oracle(), 6, sgd, LanguageModel()), texts([2, 3, 4], [5]))
    assert measured["test_perplexity"] == pytest.approx(1)
    assert measured["test_acc"] == 1
