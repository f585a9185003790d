"""What a network answers, as people see it: lines, samples and baselines, and what is said where there are none."""

import json
import math
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from lt_lightning.data.corpus import load_corpus
from lt_lightning.errors import SettingError
from lt_lightning.models.ngram import fit_ngram
from lt_lightning.runs.csv_files import read_records
from lt_lightning.runs.records import EpochRecord, ExampleRecord

Play = Callable[..., Path]
LM = ["+experiment=char_lm", "model.hidden=8", "embedding.dim=4", "trainer.max_epochs=1", "pruning.rounds=0"]
TEXTS = ["the cat sat", "a cat ate", "the hat", "at the tea", "that heat", "eat the hat", "he sat", "tea at a"]


@pytest.fixture
def unlabelled(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    for split, rows in (("train", TEXTS * 3), ("test", TEXTS[:4])):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    return folder


@pytest.fixture
def play(run_settings: Play, tmp_path: Path) -> Play:
    return partial(run_settings, ["trainer.accelerator=cpu"], run=tmp_path / "run")


def own(folder: Path) -> list[str]:
    return ["data=files", f"data.path={folder}", "data.tokenizer=letters", "data.label_column=null"]


@pytest.mark.slow
def test_each_epoch_prints_its_own_loss_and_the_answer(play: Play, capsys: pytest.CaptureFixture[str]) -> None:
    run = play("+experiment=hihello", "pruning.rounds=0", "trainer.max_epochs=30")
    lines = re.findall(r"^epoch +(\d+)  loss ([\d.]+)  (\w{6})$", capsys.readouterr().out, re.M)
    epochs = read_records(run / "epochs.csv", EpochRecord)
    assert [(int(epoch), float(loss)) for epoch, loss, _ in lines] == [
        (epoch.epoch, pytest.approx(epoch.valid_loss, abs=5e-5)) for epoch in epochs
    ]
    (example,) = read_records(run / "examples.csv", ExampleRecord)
    assert (example.given, example.expected, example.answer) == ("hihell", "ihello", lines[-1][2])
    right = sum(one == other for one, other in zip(example.answer, example.expected, strict=True))
    assert epochs[-1].valid_acc == pytest.approx(right / 6)


def test_an_epoch_without_validation_has_no_loss_to_print(play: Play, capsys: pytest.CaptureFixture[str]) -> None:
    play("+experiment=hihello", "pruning.rounds=0", "trainer.max_epochs=4", "trainer.check_val_every_n_epoch=2")
    losses = re.findall(r"^epoch +\d+  loss (\S+)", capsys.readouterr().out, re.M)
    assert [loss == "-" for loss in losses] == [True, False, True, False]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
def test_strings_are_answered_in_any_precision(play: Play, precision: str) -> None:
    run = play("+experiment=hihello", "pruning.rounds=1", "trainer.max_epochs=2", f"trainer.precision={precision}")
    assert len(read_records(run / "examples.csv", ExampleRecord)) == 2


def test_a_language_model_reads_texts_without_labels_and_is_held_against_the_n_gram_of_the_same(
    play: Play, unlabelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = play(*LM, *own(unlabelled), "model.prompt='the '", "data.valid_fraction=0.25")
    description = json.loads((run / "run.json").read_text())
    letters = sorted({letter for text in TEXTS for letter in text})
    assert sorted(description["corpus"]["class_names"]) == sorted([*letters[1:], " ", "other letter", "end of text"])
    (example,) = read_records(run / "examples.csv", ExampleRecord)
    assert example.given == "the "
    assert set(example.answer) <= set(letters)
    printed = capsys.readouterr().out
    assert f"sample: the {example.answer}".rstrip() in printed
    assert f"to be beaten: order-2 n-gram with back-off, {description['baseline']['value']:.4f} bits" in printed
    assert f"{len(letters)} letters" in printed


@pytest.mark.slow
def test_the_baseline_is_the_n_gram_of_the_training_part(play: Play, unlabelled: Path) -> None:
    from lt_lightning.data.module import TextDataModule

    overrides = [*LM, *own(unlabelled), "data.valid_fraction=0.25"]
    description = json.loads((play(*overrides) / "run.json").read_text())
    # The fixture's play has composed the same configuration: here it is once more, for its data alone.
    from hydra import compose, initialize_config_dir

    from lt_lightning.config.folder import config_folder
    from lt_lightning.config.validation import read_config

    with initialize_config_dir(config_folder(), version_base="1.3"):
        config = read_config(compose("config", overrides))
    data = TextDataModule(load_corpus(config.data), config.data, config.embedding, config.seed)
    train, test = data.texts["train"], data.texts["test"]
    expected = fit_ngram(train.ids, train.offsets, len(data.words), boundary=1, order=2).bits(test.ids, test.offsets)
    assert description["baseline"]["value"] == pytest.approx(expected)
    assert 0 < expected < math.log2(len(data.words))


def test_a_prompt_of_unknown_letters_is_refused_before_the_directory_is_claimed(play, unlabelled, tmp_path):
    with pytest.raises(SettingError, match=r"^model.prompt: 'Q' in 'the Q' is not among the \d+ letters .*prompt=null"):
        play(*LM, *own(unlabelled), "model.prompt=the Q")
    assert not list((tmp_path / "run").iterdir())


def test_a_language_model_that_diverges_stops_and_names_the_step(play: Play, unlabelled: Path, tmp_path: Path) -> None:
    said = r"^round 0, epoch 1, step \d+: the training loss is (nan|inf); lower optimizer\.lr, or clip gradients "
    with pytest.raises(SettingError, match=said):
        play(*LM, *own(unlabelled), "optimizer.lr=1e38", "data.batch_size=4")
    assert (tmp_path / "run/run.json").exists()
    assert not (tmp_path / "run/results.csv").exists()


def test_answers_of_an_encoder_decoder_are_what_it_writes_on_its_own_and_may_be_too_long(play: Play) -> None:
    small = ["data.train_rows=200", "data.test_rows=30", "model.hidden=8", "embedding.dim=4", "trainer.max_epochs=1"]
    run = play("+experiment=seq2seq", *small, "pruning.rounds=0")
    examples = read_records(run / "examples.csv", ExampleRecord)
    assert len(examples) == 8
    assert all(one.expected == one.given[::-1] for one in examples)
    assert any(len(one.answer) > len(one.expected) for one in examples)  # hardly trained, it does not know when to stop


def test_fewer_rows_than_processes_are_refused_before_the_directory_is_claimed(play: Play, tmp_path: Path) -> None:
    from lt_lightning.data.batches import check_rows

    with pytest.raises(SettingError, match=r"data: 1 valid row for 2 processes; use trainer\.devices=1"):
        check_rows({"train": 3, "valid": 1, "test": 4}, 2)
    check_rows({"train": 3, "valid": 2, "test": 4}, 2)
