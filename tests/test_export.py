"""`export` packs a run's ticket: the round that is asked for, its weights, its words, and a card that says so."""

import base64
import json
import re
import shlex
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file

from lt_lightning import Ticket
from lt_lightning.data.corpus import load_corpus
from lt_lightning.data.module import TextDataModule
from lt_lightning.experiment.transfer.starting import first_values
from lt_lightning.export.__main__ import main
from lt_lightning.lottery import derive_seed
from lt_lightning.models import build_learner
from lt_lightning.predict import main as predict
from lt_lightning.runs.csv_files import read_records
from lt_lightning.runs.records import Record
from lt_lightning.runs.round_ticket import RoundTicket, read_rewind_weights
from lt_lightning.runs.rounds import ticket_path
from lt_lightning.tickets import web
from lt_lightning.tickets.file import Packed
from trials.kills import write_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of texts, some of a single word."""
    return write_corpus(tmp_path_factory.mktemp("data") / "corpus", train=90, test=41, classes=2, shortest=1)


@pytest.fixture(scope="module")
def play(corpus: Path, run_settings: Callable[..., Path]) -> Callable[..., Path]:
    small = ["data=files", f"data.path={corpus}", "trainer=cpu", "embedding.dim=6", "trainer.max_epochs=2"]
    return partial(run_settings, [*small, "pruning.rounds=2", "pruning.amount=0.5", "optimizer.lr=0.02", "seed=3"])


@pytest.fixture(scope="module")
def run(play: Callable[..., Path]) -> Path:
    return play("model=cnn", "model.filters=4")


@pytest.fixture(scope="module")
def exported(run: Path) -> Path:
    assert main([str(run)]) == 0
    return run / "export" / "round_02" / "ticket.safetensors"


def test_the_last_round_s_weights_are_in_the_file(run, exported):
    packed, ticket = Packed.load(exported), RoundTicket.load(ticket_path(run, 2))
    for name, weight in ticket.weights.items():
        np.testing.assert_array_equal(packed.parameters[name].dense(), weight.numpy())
    record = read_records(run / "results.csv", Record)[2]
    assert packed.about["test_acc"] == record.test_acc
    assert packed.about["alive"] == record.alive == sum(len(one.values) for one in packed.parameters.values())
    assert packed.about["class_names"] == ["animals", "food"]
    assert packed.about["run"] == run.resolve().name


@pytest.mark.parametrize("choice", [["--round", "1"], ["--max-sparsity", "0.6"]])
def test_a_round_can_be_chosen_by_its_number_or_its_sparsity(choice, run, tmp_path):
    path = tmp_path / "deep" / "mine.safetensors"
    assert main([str(run), *choice, "-o", str(path)]) == 0
    assert Packed.load(path).about["round"] == 1


def test_the_card_says_with_which_margin_the_ticket_was_chosen(run, tmp_path):
    path = tmp_path / "mine.safetensors"
    assert main([str(run), "--smallest-winning", "--within", "100", "-o", str(path)]) == 0
    assert Packed.load(path).about["round"] == 2
    card = path.with_name("README.md").read_text(encoding="utf-8")
    assert "whose validation accuracy is at least the whole network's less 100 percentage points |" in card


def test_a_page_and_the_reader_are_written_beside_the_ticket_and_over_those_of_before(run, tmp_path, capsys):
    ticket, page, reader = (tmp_path / name for name in ("mine.safetensors", "deep/mine.html", "ticket.js"))
    for number in (1, 2):
        command = [str(run), "--round", str(number), "-o", str(ticket), "--html", str(page), "--js", str(reader)]
        assert main(command) == 0
        inside = re.search(r'id="ticket">([^<]*)<', page.read_text())
        assert inside is not None
        assert base64.b64decode(inside[1]) == ticket.read_bytes()
        assert page.stat().st_size <= 1.4 * ticket.stat().st_size + 60 * 1024
        assert f"page     {page} ({page.stat().st_size:,} bytes; open it in a browser)" in capsys.readouterr().out
    assert reader.read_text() == web.reader()


def test_an_executable_file_is_written_beside_the_ticket_and_over_that_of_before(run, tmp_path, capsys):
    ticket, program = tmp_path / "mine.safetensors", tmp_path / "deep" / "mine.pyz"
    for number in (1, 2):
        assert main([str(run), "--round", str(number), "-o", str(ticket), "--pyz", str(program)]) == 0
        with zipfile.ZipFile(program) as archive:
            assert archive.read("ticket.safetensors") == ticket.read_bytes()
        assert program.stat().st_mode & 0o100  # its owner may run it
        size = f"{program.stat().st_size:,} bytes"
        assert f'program  {program} ({size}; python {program} "a text")' in capsys.readouterr().out


def test_the_same_ticket_is_the_same_file(run, exported, tmp_path):
    assert main([str(run), "-o", str(tmp_path / "again.safetensors")]) == 0
    assert (tmp_path / "again.safetensors").read_bytes() == exported.read_bytes()


def corrupt(monkeypatch: pytest.MonkeyPatch, change: Callable[[Packed], Packed]) -> None:
    """Write another ticket than the one that is to be written, with a sound checksum."""
    save = Packed.save
    monkeypatch.setattr(Packed, "save", lambda packed, path: save(change(packed), path))


def with_changed_weight(packed: Packed) -> Packed:
    one = packed.parameters["fc.bias"]
    changed = replace(one, values=np.nextafter(one.values, np.float32(9)))
    return replace(packed, parameters={**packed.parameters, "fc.bias": changed})


@pytest.mark.parametrize(("change", "said"), [
    (with_changed_weight, "the weights of fc.bias differ"),
    (lambda packed: replace(packed, words=(*packed.words[1:], packed.words[0])), "its words differ"),
    (lambda packed: replace(packed, about={**packed.about, "test_acc": 1.0}), "its header differs"),
    (lambda packed: replace(packed, about={**packed.about, "test_acc": 2.0}), "its test_acc is 2.0"),
])  # fmt: skip
def test_an_export_that_does_not_read_back_is_not_done(change, said, run, tmp_path, capsys, monkeypatch):
    path = tmp_path / "mine.safetensors"
    assert main([str(run), "--round", "1", "-o", str(path)]) == 0
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    corrupt(monkeypatch, change)
    capsys.readouterr()
    assert main([str(run), "-o", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{path}: read back, the file is not what was written: ")
    assert said in line
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_round_that_diverged_is_not_exported(run, tmp_path, capsys):
    diverged = tmp_path / "run"
    shutil.copytree(run, diverged)
    path = ticket_path(diverged, 2)
    ticket = RoundTicket.load(path)
    ticket.weights["fc.weight"][0, 0] = float("nan")
    ticket.save(path)
    assert main([str(diverged), "-o", str(tmp_path / "out" / "mine.safetensors")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{path}: 'fc.weight' has 1 of ")
    assert "NaN or infinite" in line
    assert not (tmp_path / "out").exists()


def test_half_is_half_as_large_and_says_how_good_it_is(run, exported, corpus, tmp_path, capsys):
    path = tmp_path / "half.safetensors"
    assert main([str(run), "--half", "-o", str(path)]) == 0
    packed = Packed.load(path)
    assert {one.values.dtype for one in packed.parameters.values()} == {np.dtype(np.float16)}
    rows = [json.loads(line) for line in (corpus / "test.jsonl").read_text().splitlines()]
    taken = Ticket.load(path).predict([row["text"] for row in rows]).argmax(axis=1)
    right = np.mean([("animals", "food")[number] == row["label"] for number, row in zip(taken, rows, strict=True)])
    assert packed.about["rounded_test_acc"] == right
    assert f"{100 * right:.2f} % with weights rounded to float16" in capsys.readouterr().out
    assert Packed.load(exported).about.get("rounded_test_acc") is None


@pytest.mark.parametrize("bits", [8, 4])
def test_weights_of_few_bits_take_little_room_and_the_file_says_how_good_they_are(
    bits, run, exported, tmp_path, capsys
):
    path = tmp_path / "ticket.safetensors"
    assert main([str(run), "--bits", str(bits), "--html", str(tmp_path / "page.html"), "-o", str(path)]) == 0
    packed, whole = Packed.load(path), Packed.load(exported)
    assert packed.about["values"] == f"{bits} bits"
    assert 0 <= packed.about["rounded_test_acc"] <= 1
    assert f"rounded to {bits} bits" in capsys.readouterr().out
    assert f"rounded to {bits} bits" in path.with_name("README.md").read_text()
    assert path.stat().st_size < exported.stat().st_size
    assert list(packed.words) == sorted(packed.words) == sorted(whole.words)
    before = dict(zip(whole.words, whole.parameters["embedding.weight"].dense()[whole.word_ids], strict=True))
    after = packed.parameters["embedding.weight"].dense()[packed.word_ids]
    spread = np.std(whole.parameters["embedding.weight"].values)
    for word, vector in zip(packed.words, after, strict=True):
        np.testing.assert_allclose(vector, before[word], atol=spread * (0.5 if bits == 4 else 0.1))


def test_the_temperature_is_fitted_on_the_run_s_validation_rows(run, exported, corpus, configure):
    config = configure("data=files", f"data.path={corpus}", "model=cnn", "model.filters=4", "embedding.dim=6", "seed=3")
    module = TextDataModule(load_corpus(config.data), config.data, config.embedding, 3)
    valid, words, ticket = module.texts["valid"], ["unheardof", *module.words[1:]], Ticket.load(exported)
    starts = valid.offsets.tolist()
    texts = [" ".join(words[word] for word in valid.ids[a:b].tolist()) for a, b in pairwise(starts)]
    logits, labels = ticket.logits(texts).astype(float), np.asarray(valid.labels)
    scales = np.geomspace(0.01, 100, 20_001)
    losses = [np.logaddexp(0, -(2 * labels - 1) * logits / scale).mean() for scale in scales]
    assert ticket.temperature == pytest.approx(scales[np.argmin(losses)], rel=1e-3)
    said = ticket.packed.about["calibration"]
    assert said["rows"] == len(texts)
    assert said["log_loss"] == pytest.approx(
        [np.logaddexp(0, -(2 * labels - 1) * logits).mean(), min(losses)], abs=1e-5
    )
    expected = 1 / (1 + np.exp(-logits / ticket.temperature))
    np.testing.assert_allclose(ticket.predict(texts)[:, 1], expected, rtol=1e-5)
    raw = ticket.predict(texts, raw=True)[:, 1]
    np.testing.assert_allclose(raw, 1 / (1 + np.exp(-logits)), rtol=1e-5)
    card = exported.with_name("README.md").read_text()
    assert f"temperature {ticket.temperature:g}: on {len(texts)} validation rows log loss" in card


def test_a_ticket_may_stay_without_a_temperature(run, tmp_path, capsys):
    path = tmp_path / "ticket.safetensors"
    assert main([str(run), "--no-calibration", "-o", str(path)]) == 0
    assert "sure " not in capsys.readouterr().out
    assert Ticket.load(path).temperature == 1
    assert "the network's own, not calibrated" in path.with_name("README.md").read_text()


def test_a_corpus_that_is_gone_costs_the_temperature_alone(run, tmp_path, capsys):
    moved = tmp_path / "run"
    shutil.copytree(run, moved)
    said = json.loads((moved / "run.json").read_text())
    said["config"]["data"]["path"] = str(tmp_path / "gone")
    (moved / "run.json").write_text(json.dumps(said))
    assert main([str(moved), "-o", str(tmp_path / "ticket.safetensors")]) == 0
    out = capsys.readouterr().out
    assert "sure     not calibrated: " in out
    assert "--data" in out
    assert Ticket.load(tmp_path / "ticket.safetensors").temperature == 1


def test_half_is_measured_on_the_run_s_corpus_alone(run, tmp_path, capsys):
    other = tmp_path / "other"
    other.mkdir()
    for split in ("train", "test"):
        rows = [{"text": f"cat {row}", "label": ("animals", "food")[row % 2]} for row in range(20)]
        (other / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for option, said in (
        ("--half", "is not the run's"),
        ("--bits=4", "is not the run's"),
        ("--shrink", "has other rows"),
    ):
        assert main([str(run), option, "--data", str(other), "-o", str(tmp_path / "half.safetensors")]) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "half.safetensors").exists()


@pytest.mark.slow
@pytest.mark.parametrize("rewind", ["init", "random", "last"])
def test_the_first_weights_can_be_drawn_again_whatever_the_rewind(rewind, play, corpus, tmp_path, configure):
    run = play("model=cnn", "model.filters=4", f"pruning.rewind={rewind}", "pruning.rounds=1", "pruning.amount=[0.5]")
    path = tmp_path / "ticket.safetensors"
    assert main([str(run), "-o", str(path)]) == 0
    packed = Packed.load(path)
    assert packed.first is None
    import torch

    config = configure("data=files", f"data.path={corpus}", "model=cnn", "model.filters=4", "embedding.dim=6")
    torch.manual_seed(derive_seed(3, "network"))
    words = len(TextDataModule(load_corpus(config.data), config.data, config.embedding, 3).words)
    learner = build_learner(config.model, config.embedding, config.optimizer, words=words, classes=2)
    first = first_values(packed, path)
    for name, weight in learner.network.state_dict().items():
        one = packed.parameters[name]
        places = slice(None) if one.places is None else one.places
        np.testing.assert_array_equal(first[name], weight.numpy().reshape(-1)[places])


def test_first_weights_can_be_put_into_the_file(run, tmp_path):
    path = tmp_path / "ticket.safetensors"
    assert main([str(run), "--first-weights", "-o", str(path)]) == 0
    packed, kept = Packed.load(path), read_rewind_weights(run)
    assert packed.first is not None
    for name, values in packed.first.items():
        one = packed.parameters[name]
        places = slice(None) if one.places is None else one.places
        np.testing.assert_array_equal(values, kept[name].numpy().reshape(-1)[places])


def test_the_card_lies_beside_the_file_and_says_what_is_true(run, exported):
    card = exported.with_name("README.md").read_text(encoding="utf-8")
    records = read_records(run / "results.csv", Record)
    assert f"| test accuracy | {100 * records[2].test_acc:.2f} % |" in card
    assert f"{exported.stat().st_size:,} bytes" in card
    assert "animals, food" in card
    pictures = re.findall(r"\]\(([^)]+\.png)\)", card)
    assert [(exported.parent / name).read_bytes()[:4] for name in pictures] == [b"\x89PNG"]
    assert yaml.safe_load(card.split("---\n")[1])["pipeline_tag"] == "text-classification"


def test_a_readme_of_something_else_stays_as_it_is(run, tmp_path):
    (tmp_path / "README.md").write_text("# My project")
    path = tmp_path / "mine.safetensors"
    assert main([str(run), "-o", str(path)]) == 0
    assert (tmp_path / "README.md").read_text() == "# My project"
    assert "mine.safetensors" in (tmp_path / "mine.README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_card_of_a_ticket_of_a_ticket_says_what_it_began_with(play, exported, tmp_path):
    run = play("model=cnn", "model.filters=4", f"pruning.ticket={exported}", "pruning.rounds=0")
    path = tmp_path / "second.safetensors"
    assert main([str(run), "-o", str(path)]) == 0
    about = Packed.load(path).about
    assert (about["ticket"]["round"], about["ticket"]["run"]) == (2, exported.parents[2].name)
    assert about["full_test_acc"] is None
    card = path.with_name("README.md").read_text(encoding="utf-8")
    assert "It began with a ticket of files, round 2, and is what is left" in card
    assert "whole network |" not in card
    assert "| pruned |" not in card


def test_nothing_of_somebody_else_s_is_written_over(run, tmp_path, capsys):
    for name in ("mine_accuracy.png", "mine.onnx", "mine_dense.safetensors", "mine_tokenizer.json", "mine.README.md"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "README.md").write_text("# My project")
        (folder / name).write_text("mine")
        assert main([str(run), "-o", str(folder / "mine.safetensors"), "--onnx", "--state-dict"]) == 2
        assert f"{folder / name} exists" in capsys.readouterr().err
        assert {path.name: path.read_text() for path in folder.iterdir()} == {name: "mine", "README.md": "# My project"}


def test_files_of_one_export_never_share_a_name(run, tmp_path):
    for name in ("x.onnx", "news.v1", "news.v2"):
        assert main([str(run), "-o", str(tmp_path / name), "--onnx", "--state-dict"]) == 0
    for name in ("x.onnx", "news.v1", "news.v2"):
        assert Packed.load(tmp_path / name).about["round"] == 2
        assert (tmp_path / f"{name}.onnx").stat().st_size > 0


def test_rounded_weights_are_rounded_in_every_file(run, tmp_path):
    path = tmp_path / "half.safetensors"
    assert main([str(run), "--half", "--state-dict", "-o", str(path)]) == 0
    for name, weight in load_file(tmp_path / "half_dense.safetensors").items():
        np.testing.assert_array_equal(weight, Packed.load(path).parameters[name].dense())
        np.testing.assert_array_equal(weight, weight.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("name", ["-q.safetensors", "nä'me, x=1.safetensors", "a b.safetensors"])
def test_the_card_s_commands_can_be_typed_whatever_the_file_is_called(name, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([str(run), f"--output={name}"]) == 0
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    words = shlex.split(re.findall("python -m lt_lightning.predict (.*)", card)[0])
    assert predict(words) == 0
