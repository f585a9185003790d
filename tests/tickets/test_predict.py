"""`python -m lt_lightning.predict` answers texts and lines, says what it cannot read, and stays small."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from ticket_networks import pack, prune

from lt_lightning import Ticket, predict
from lt_lightning.models import MultiCNN

WORDS = ("the", "stocks", "team", "won", "fell", "moon", "day", "news")
NAMES = ["World", "Sci/Tech", "Sport é"]
HEAVY = (
    "torch", "pytorch_lightning", "datasets", "pyarrow", "hydra", "omegaconf", "scipy", "numba", "jaxtyping", "pandas",
    "safetensors", "lt_lightning.config.schema",
)  # fmt: skip

needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = MultiCNN(10, 3, dim=8, filters=6)
    prune(network, 0.6)
    packed = pack(network, "multi_cnn", 3, WORDS, filters=6, widths=[3, 4, 5])
    path = tmp_path_factory.mktemp("ticket") / "t.safetensors"
    type(packed)(
        packed.parameters, packed.words, packed.word_ids, None, {**packed.about, "class_names": NAMES}
    ).save(path)  # fmt: skip
    return path


def give(monkeypatch: pytest.MonkeyPatch, content: bytes, *, terminal: bool = False) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(content))
    monkeypatch.setattr(stdin, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stdin", stdin)


def start(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "lt_lightning.predict", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip


def lines(file: Path, texts: Sequence[str], top: int = 1) -> list[str]:
    found = []
    for row in Ticket.load(file).predict(texts).tolist():
        best = sorted(zip(row, NAMES, strict=True), reverse=True)[:top]
        found.append("\t".join(f"{name}\t{probability:.4f}" for probability, name in best))
    return found


def test_given_texts_have_a_line_each(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = ["the team won", "", "--moon"]
    assert predict.main([str(file), *texts[:2], "--top", "2", "--", texts[2]]) == 0
    assert capsys.readouterr().out.splitlines() == lines(file, texts, top=2)


def test_options_may_stand_before_the_texts(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict.main(["--top=9", str(file), "--batch", "1", "the team"]) == 0
    assert capsys.readouterr().out.splitlines() == lines(file, ["the team"], top=3)


@pytest.mark.parametrize("batch", ["1", "2", "99"])
def test_lines_of_stdin_have_a_line_each_whatever_the_batch(file, batch, monkeypatch, capsys):
    give(monkeypatch, b"\xef\xbb\xbfthe team won\r\n\nstocks \xc3\xa9 fell\n{the moon}\nunheard of")
    assert predict.main([str(file), "--batch", batch]) == 0
    expected = lines(file, ["the team won", "", "stocks é fell", "{the moon}", "unheard of"])
    assert capsys.readouterr().out.splitlines() == expected


def test_json_lines_hand_through_what_they_are_given(file, monkeypatch, capsys):
    give(monkeypatch, '{"id": 7, "text": "the é moon", "label": 2}\nstocks fell\n{"text": "\\ud800"}\n'.encode())
    assert predict.main([str(file), "--jsonl"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    expected = Ticket.load(file).predict(["the é moon", "stocks fell", "\ud800"])
    entries = [{"id": 7, "text": "the é moon", "label": 2}, {"text": "stocks fell"}, {"text": "\ud800"}]
    for answer, entry, row in zip(answers, entries, expected, strict=True):
        probabilities = answer.pop("probabilities")
        best = int(row.argmax())
        assert answer == {**entry, "prediction": NAMES[best], "probability": probabilities[NAMES[best]]}
        np.testing.assert_allclose([probabilities[name] for name in NAMES], row, rtol=0, atol=1e-6)


def test_json_lines_name_the_top_alone_if_asked(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict.main([str(file), "--jsonl", "--top", "2", "the moon"]) == 0
    assert len(json.loads(capsys.readouterr().out)["probabilities"]) == 2


@pytest.mark.parametrize(("wrong", "says"), [
    (b"caf\xe9 the", "line 3: not UTF-8 (byte 4, 0xe9); give the texts in UTF-8"),
    (b'{"text": "the"', "line 3: begins with { but is not a JSON object"),
    (b'{"id": 3}', "line 3: a JSON object without a text"),
    (b'{"text": ["the"]}', "line 3: a JSON object without a text"),
    (b'{"text": ' + b"[" * 100_000, "line 3: begins with { but is not a JSON object"),
    (b'{"text": "the", "n": NaN}', "line 3: begins with { but is not a JSON object (NaN is not a finite number"),
    (
        b'{"text": "the", "n": [-Infinity]}',
        "line 3: begins with { but is not a JSON object (-Infinity is not a finite",
    ),
    (b'{"text": "the", "n": 1e999}', "line 3: begins with { but is not a JSON object (1e999 is not a finite"),
    (b'{"text": "the", "n": ' + b"9" * 5000 + b"}", "line 3: begins with { but is not a JSON object"),
])  # fmt: skip
@pytest.mark.parametrize("batch", ["1", "3", "100"])
def test_a_line_that_cannot_be_read_is_named_after_the_answers_before_it(file, wrong, says, batch, monkeypatch, capsys):
    give(monkeypatch, b"the moon\nthe team\n" + wrong + b"\nthe day\n")
    assert predict.main([str(file), "--jsonl", "--batch", batch]) == 2
    said = capsys.readouterr()
    assert [json.loads(line)["text"] for line in said.out.splitlines()] == ["the moon", "the team"]
    assert said.err.startswith(says)
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(("arguments", "says"), [
    (["none.safetensors", "x"], "none.safetensors: no such file"), (["FILE", "a\udcff"], "TEXT 1: not UTF-8"),
    (["FILE", "--top", "0"], "--top"), (["FILE", "--batch", "-3"], "--batch"),
    (["FILE", "--batch", "many"], "--batch"), ([], "FILE"), (["FILE", "--topp"], "--topp"),
])  # fmt: skip
def test_what_is_wrong_with_the_command_is_one_line(file, arguments, says, capsys):
    try:
        code = predict.main([str(file) if word == "FILE" else word for word in arguments])
    except SystemExit as stop:
        code = stop.code
    said = capsys.readouterr()
    assert (code, said.out, said.err.count("\n")) == (2, "", 1)
    assert says in said.err


def test_on_a_terminal_each_line_is_answered_at_once(file, monkeypatch, capsys):
    sizes: list[int] = []
    answer = Ticket.predict
    monkeypatch.setattr(
        Ticket, "predict", lambda self, texts, raw=False: (sizes.append(len(texts)), answer(self, texts))[1]
    )
    give(monkeypatch, b"the\nmoon\nfell\n", terminal=True)
    assert predict.main([str(file)]) == 0
    said = capsys.readouterr()
    assert sizes == [1, 1, 1]
    assert said.out.splitlines() == lines(file, ["the", "moon", "fell"])
    assert "Ctrl-D" in said.err


def test_long_lines_make_batches_of_few(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    questions = [predict.Question("moon " * 100_000, {})] * 7
    assert [len(batch) for batch in predict._batches(questions, 256)] == [2, 2, 2, 1]


def test_answering_imports_neither_torch_nor_anything_else_that_takes_long(file: Path) -> None:
    program = (
        "import sys\n"
        "import lt_lightning.tickets, lt_lightning.predict\n"
        f"code = lt_lightning.predict.main([{str(file)!r}, 'the moon', 'the team'])\n"
        "print(*sorted(sys.modules))\n"
        "sys.exit(code)"
    )
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    *answers, modules = ran.stdout.splitlines()
    assert answers == lines(file, ["the moon", "the team"])
    assert [name for name in HEAVY if name in modules.split()] == []
    assert "numpy" in modules.split()


def test_importing_the_package_alone_imports_no_numpy() -> None:
    program = "import sys, lt_lightning; print('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=True, capture_output=True).stdout == b"False\n"


def test_whoever_reads_no_further_ends_it_quietly(file: Path) -> None:
    process = start([str(file), "--batch", "10"])
    assert process.stdin and process.stdout and process.stderr
    stdin = process.stdin

    def feed() -> None:
        with contextlib.suppress(BrokenPipeError), stdin:
            for _ in range(200):
                stdin.write(b"the moon\n" * 1000)

    feeder = threading.Thread(target=feed)
    feeder.start()
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(20) == 141
    feeder.join(20)
    with process.stderr as stderr:
        assert stderr.read() == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_said(file: Path) -> None:
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "lt_lightning.predict", str(file), "the moon"], stdout=full, stderr=subprocess.PIPE
        )
    assert ran.returncode == 2
    assert ran.stderr == b"stdout: cannot be written (No space left on device); send it elsewhere\n"


def test_a_closed_stdout_and_a_stdin_that_cannot_be_read_are_told_apart(file: Path, tmp_path: Path) -> None:
    program = f"{sys.executable} -m lt_lightning.predict {file}"
    ran = subprocess.run(f"{program} moon >&-", shell=True, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (2, "stdout: closed; send it to a file, or to /dev/null\n")
    ran = subprocess.run(f"{program} 0>{tmp_path / 'other'}", shell=True, capture_output=True, text=True)
    assert ran.returncode == 2
    assert ran.stderr == "stdin: cannot be read (Bad file descriptor); pass them as arguments\n"


def test_what_follows_two_dashes_is_no_option_wherever_they_stand(file, capsys):
    for arguments in (["--", str(file), "-moon", "--"], [str(file), "--", "-moon", "--"]):
        assert predict.main(["--top", "2", *arguments]) == 0
        assert capsys.readouterr().out.splitlines() == lines(file, ["-moon", "--"], top=2)


def test_a_file_whose_name_has_a_line_break_is_missed_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert predict.main(["no such\nfile", "moon"]) == 2
    assert capsys.readouterr().err.startswith("no such file: no such file")


def test_json_lines_may_be_indented(file, monkeypatch, capsys):
    give(monkeypatch, b' \t{"text": "the moon", "id": 1}\n')
    assert predict.main([str(file), "--jsonl"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["text"], answer["id"]) == ("the moon", 1)


def test_answers_of_several_tickets_stand_behind_each_other(file, monkeypatch, capsys):
    text = '{"text": "the moon", "prediction": "mine", "previous": 1}\n'
    for _ in range(2):
        give(monkeypatch, text.encode())
        assert predict.main([str(file), "--jsonl"]) == 0
        text = capsys.readouterr().out
    answer = json.loads(text)
    assert answer["previous_previous_prediction"] == "mine"
    for name in ("prediction", "probability", "probabilities"):
        assert answer[f"previous_{name}"] == answer[name]
    assert (answer["previous"], answer["prediction"] in NAMES) == (1, True)


def test_ctrl_c_ends_it_quietly(file: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # or a test in the background starts deaf ones
    try:
        process = start([str(file), "--batch", "1"])
    finally:
        signal.signal(signal.SIGINT, before)
    assert process.stdin and process.stdout
    process.stdin.write(b"the moon\n")
    process.stdin.flush()
    assert process.stdout.readline().decode().strip() == lines(file, ["the moon"])[0]
    process.send_signal(signal.SIGINT)
    code = process.wait(20)  # before stdin is closed: at its end, too, the program would end
    assert (code, *process.communicate()) == (130, b"", b"")


@pytest.mark.slow
@needs_proc
def test_memory_stays_flat_over_many_lines(file: Path) -> None:
    sizes, resident, count = [], [], 200_000
    with start([str(file)]) as process:
        assert process.stdin and process.stdout
        out = process.stdout
        reader = threading.Thread(target=lambda: sizes.append(sum(1 for _ in out)))
        reader.start()
        for _ in range(10):
            process.stdin.write(b"the moon fell, and the team won the day\n" * (count // 10))
            process.stdin.flush()
            pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
            resident.append(pages * os.sysconf("SC_PAGE_SIZE"))
        process.stdin.close()
        reader.join(60)
        assert process.wait(20) == 0
    assert sizes == [count]
    assert resident[-1] < resident[1] + 4e6
    assert resident[-1] < 80e6


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize(
    ("piece", "count"), [("the moon fell, and the team won the day ", 250_000), ("a ", 5_000_000)], ids=["prose", "a"]
)
def test_a_text_of_ten_megabytes_is_answered_in_little_more_memory_than_its_ids(piece, count, file):
    program = (
        "import sys; from lt_lightning import predict; code = predict.main(sys.argv[1:]);"
        "print(*[line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')]); sys.exit(code)"
    )

    def run(text: str) -> tuple[str, int]:
        ran = subprocess.run(
            [sys.executable, "-c", program, str(file)], input=text.encode(), check=True, capture_output=True
        )
        answer, kilobytes = ran.stdout.decode().splitlines()
        return answer, int(kilobytes) * 1024

    (_, short), (answer, whole) = run(piece), run(piece * count)
    assert answer == lines(file, [piece * 100])[0]
    words = len(piece.replace(",", " ,").split()) * count
    assert whole < short + 2 * len(piece) * count + 4 * words + 12e6
