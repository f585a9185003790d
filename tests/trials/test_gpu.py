"""The checks of `trials.gpu` find what they look for, without a GPU: on a stand-in, or on the CPU."""

import json
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import MappingProxyType

import pytest

from lt_lightning.errors import SettingError
from trials.gpu import __main__ as command
from trials.gpu.checks import CHECKS, Check, run_all, run_apart
from trials.gpu.cuda_tests import count, find_files
from trials.gpu.places import Wait
from trials.gpu.results import Outcome, Request, Result, SkipError, exit_code, table, write

ROOT = Path(__file__).parents[2]


def test_without_a_device_the_command_says_so_and_succeeds(monkeypatch, capsys) -> None:
    monkeypatch.setattr(command, "has_cuda", lambda: False)
    assert command.main([]) == 0
    assert capsys.readouterr().out == (
        "no CUDA device: nothing was checked; run this command where torch.cuda.is_available() is true\n"
    )


@pytest.mark.parametrize(("arguments", "said"), [
    (["--minutes=0"], r"--minutes: 0 is no time; give a number above 0"),
    (["--minutes=nan"], r"--minutes: nan is no time"),
    (["--data=nowhere"], r"--data: there is no folder nowhere; give one with train and test, or leave it out"),
    (["--json=nowhere/a.json"], r"--json: there is no folder .*nowhere; create it"),
])  # fmt: skip
def test_a_wrong_option_is_refused_by_name(arguments: list[str], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        command.parse(arguments)


def test_every_check_has_its_function_and_a_share() -> None:
    from importlib import import_module

    for check in CHECKS:
        module, _, name = check.function.partition(":")
        assert callable(getattr(import_module(f"trials.gpu.{module}"), name))
    assert sum(check.share for check in CHECKS) == pytest.approx(1)


def test_what_a_check_saves_the_others_get_and_late_ones_are_skipped_with_a_reason(tmp_path: Path) -> None:
    now, given = [0.0], {}

    def run(check: Check, request: Request) -> Result:
        given[check.name] = request.seconds
        now[0] += {"a": 10.0, "b": 80.0}[check.name]
        return Result(check.name, "passed", "")

    checks = [Check("a", "", 0.5, least=20), Check("b", "", 0.25, least=20), Check("c", "", 0.25, least=20)]
    found = list(run_all(checks, Request("cpu", 100.0, tmp_path), run, lambda: now[0]))
    assert given == {"a": 50.0, "b": 45.0}
    assert found[2] == Result("c", "skipped", "10 s left for it, it needs 20")


@pytest.mark.parametrize(("function", "seconds", "status", "said"), [
    ("cuda_tests:missing", 60, "FAILED", r"exit code 1: AttributeError: .*missing.*; see .*log\.txt"),
    ("cuda_tests:missing", 0.01, "FAILED", r"not over after its 0 s.*log\.txt"),
    ("steps:find_waits", 60, "skipped", r"^the CPU waits for no device$"),
])  # fmt: skip
def test_a_check_that_fails_or_hangs_or_cannot_be_made_is_a_row(tmp_path, function, seconds, status, said) -> None:
    found = run_apart(Check("one", function, 1.0), Request("cpu", seconds, tmp_path))
    assert found.status == status
    assert re.search(said, found.evidence)


def test_results_are_written_as_a_table_and_as_json(tmp_path: Path) -> None:
    results = [
        Result.of("zeros", Outcome("3 of 3", ["one | two", "three"], {"n": 3}), 1.26),
        Result("kill", "skipped", "no\ntime"),
    ]
    assert table(results).splitlines()[2:] == [
        "| zeros | FAILED | one \\| two; three; 3 of 3 | 1.3 |",
        "| kill | skipped | no time | 0.0 |",
    ]
    write(tmp_path / "gpu.json", {"device": "x"}, results)
    content = json.loads((tmp_path / "gpu.json").read_text())
    assert content["machine"] == {"device": "x"}
    first = {"check": "zeros", "status": "FAILED", "evidence": "one | two; three; 3 of 3"}
    assert content["results"][0] == {**first, "seconds": 1.26, "numbers": {"n": 3}}
    assert [exit_code(results), exit_code(results[1:]), exit_code([])] == [1, 0, 0]


JUNIT = """<testsuites><testsuite>
<testcase classname="a" name="one"/><testcase classname="a" name="two"><failure message="wrong&#10;more"/></testcase>
<testcase classname="a" name="three"><skipped message="no device"/></testcase>
<testcase classname="a" name="four"><error message="fixture"/></testcase>
</testsuite></testsuites>"""


def test_tests_are_counted_and_failed_ones_named(tmp_path: Path) -> None:
    report = tmp_path / "junit.xml"
    assert count(report).faults == ["the tests did not run"]
    report.write_text(JUNIT)
    found = count(report)
    assert found.evidence == "1 passed, 2 failed, 1 skipped"
    assert found.faults == ["a.two: wrong", "a.four: fixture"]
    report.write_text('<testsuite><testcase name="a"><skipped/></testcase></testsuite>')
    assert count(report).faults == ["no test ran"]
    assert not count(report, is_needed=False).faults


def test_marked_tests_are_found_and_no_test_asks_for_a_device_itself() -> None:
    found = find_files(ROOT / "tests")
    assert ROOT / "tests/lottery/test_lottery_freezing.py" in found
    others = [path for path in (ROOT / "tests").rglob("*.py") if "skipif(not torch.cuda" in path.read_text()]
    assert [path.name for path in others if path != Path(__file__)] == []


def test_warnings_of_torch_become_waits_with_their_line() -> None:
    from trials.gpu.watching import note_wait

    waits: list[Wait] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = partial(note_wait, waits)
        warnings.warn("called a synchronizing CUDA operation (Triggered internally at …)", stacklevel=1)
        warnings.warn("another", stacklevel=1)
    line = test_warnings_of_torch_become_waits_with_their_line.__code__.co_firstlineno + 7
    assert waits == [Wait("synchronizes", f"tests/trials/test_gpu.py:{line}")]


STAND_IN = """
import torch
from torch import nn
from lt_lightning.lottery import Mask, prune
from lt_lightning.lottery.choosing import Change
from lt_lightning.lottery.scores.memory import Memory
from lt_lightning.models import RecurrentClassifier
from lt_lightning.models.tasks import _letters
from trials.gpu.stand_in import DEVICE, StandIn, move

with StandIn() as device:
    numbers = torch.arange(6.0).to(DEVICE, non_blocking=True)
    assert numbers.device == DEVICE and (numbers + 1).device == DEVICE and device.copies == [24] and not device.waits
    for name, waits in {
        "_local_scalar_dense": lambda: numbers.sum().item(), "nonzero": lambda: numbers.nonzero(),
        "copy to the host": lambda: numbers.cpu(), "copy to the device": lambda: torch.ones(3).to(DEVICE),
        "index": lambda: numbers[numbers > 2], "equal": lambda: torch.equal(numbers, numbers),
    }.items():
        device.waits.clear()
        waits()
        (wait,) = device.waits
        assert name in wait.what and wait.place.endswith("<string>:%d" % waits.__code__.co_firstlineno), wait
    for refused, error in ((lambda: numbers + torch.ones(6), RuntimeError), (lambda: numbers.numpy(), TypeError)):
        try:
            refused()
        except error:
            continue
        raise AssertionError("two devices met")
    assert (numbers + torch.tensor(1.0))[0].item() == 1  # a number of the host

    layer = nn.Linear(3, 2)
    weight = layer.weight
    before = weight.detach().clone()
    move(layer, DEVICE)
    assert layer.weight is weight and weight.device == DEVICE and torch.equal(weight.cpu(), before)
    optimizer = torch.optim.Adam(layer.parameters(), fused=True)
    layer(torch.ones(4, 3).to(DEVICE)).sum().backward()
    memory = Memory("movement")
    device.waits.clear()
    memory.add_step(dict(layer.named_parameters()))
    weight.grad[0, 0] = torch.inf
    memory.add_step(dict(layer.named_parameters()))  # a step with an infinite gradient is not added
    optimizer.step()
    assert not device.waits, device.waits
    assert torch.equal(memory.movement["weight"].cpu(), -4 * before)
    move(layer, torch.device("cpu"))
    assert layer.weight is weight and weight.device.type == "cpu"

    # Lengths that the host knows need not be asked for.
    ids, lengths = torch.tensor([[2, 3, 4], [5, 1, 1], [6, 7, 1]]), torch.tensor([3, 0, 2])
    network = RecurrentClassifier(9, 3, cell="rnn", dim=4, hidden=3, dropout=0.0, kernel="reference")
    expected = network(ids, lengths).detach()
    answers = _letters(torch.arange(18.0).view(3, 3, 2), ids, lengths, 5)
    there = [one.to(DEVICE) for one in (torch.arange(18.0).view(3, 3, 2), ids, lengths)]
    move(network, DEVICE)
    device.waits.clear()
    read = network(there[1], there[2], lengths.numpy())
    found = _letters(*there, 5, lengths.numpy())
    assert not device.waits, device.waits
    assert torch.equal(read.cpu(), expected)
    assert all(torch.equal(one.cpu(), other) for one, other in zip(found[:3], answers[:3]))

    # The mask is on the host, the scores of a loss are on the device; the mask of the round before still is, too.
    whole = Mask.ones({"w": torch.empty(6)})
    half = prune({"w": numbers}, whole, 0.5)
    assert half["w"].tolist() == [False] * 3 + [True] * 3 and half["w"].device.type == "cpu"
    assert Change.between(0, whole.to(DEVICE), half).dropped == 3
print("all is well")
"""


@pytest.mark.slow
def test_the_stand_in_is_as_far_from_the_host_as_a_gpu_and_lotteries_bear_it() -> None:
    done = subprocess.run([sys.executable, "-c", STAND_IN], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "all is well\n", done.stderr[-2000:]


@pytest.mark.slow
def test_a_run_on_the_stand_in_waits_in_no_step_and_keeps_its_data_there(tmp_path: Path, capsys) -> None:
    kept = tmp_path / "gpu.json"
    arguments = ["--device=stand_in", "--only=waits", "--only=resident", "--minutes=30", f"--json={kept}"]
    code = command.main(arguments)
    said = capsys.readouterr().out
    waits, resident = json.loads(kept.read_text())["results"]
    assert code == 0, said
    assert waits["evidence"] == "cnn: 0 waits in 3 steps"
    # The numbers of 8 rows, for ids and for labels, in 3 steps.
    assert resident["numbers"]["cnn"]["copies"] == [64] * 2 * 3
    assert f"| resident | passed | {resident['evidence']} |" in said


def test_waits_of_this_project_and_copies_of_rows_are_faults(monkeypatch, tmp_path: Path) -> None:
    from trials.gpu import steps

    places = ["lt_lightning/callbacks/holding.py:3", "fit/loops.py:5"]
    waits = [{"what": "reads", "place": one} for one in places]
    seen = {"cnn": {"steps": 2, "rows": 8, "waits": waits, "copies": [5000]}}
    monkeypatch.setattr(steps, "_watch", lambda request: seen)
    found = steps.find_waits(Request("cuda", 1.0, tmp_path))
    assert found.faults == ["cnn: lt_lightning/callbacks/holding.py:3 waits (reads) 1 times"]
    assert found.evidence == "cnn: 2 waits in 2 steps, of others: fit/loops.py:5 (reads) 1×"
    (fault,) = steps.find_copies(Request("cuda", 1.0, tmp_path)).faults
    assert fault == "cnn: a step copies 2500 bytes to the device, more than 1152"


@pytest.fixture
def torch_as_it_was() -> Iterator[None]:
    import torch

    tf32, is_deterministic = torch.backends.cudnn.allow_tf32, torch.are_deterministic_algorithms_enabled()
    yield
    torch.backends.cudnn.allow_tf32 = tf32
    torch.use_deterministic_algorithms(is_deterministic)


@pytest.mark.slow
def test_a_cpu_equals_itself_and_differences_are_measured(monkeypatch, tmp_path: Path, torch_as_it_was) -> None:
    from trials.gpu import equality

    monkeypatch.setattr(equality, "NETWORKS", ["cnn"])
    exact = MappingProxyType({"64-true": equality.TOLERANCES["64-true"]})
    monkeypatch.setattr(equality, "TOLERANCES", exact)
    found = equality.compare_with_cpu(Request("cpu", 60.0, tmp_path))
    assert not found.faults
    assert found.numbers["cnn 64-true"]["masks"] == 0
    strict = {"64-true": equality.Tolerance(masks=-1.0, losses=-1.0)}
    monkeypatch.setattr(equality, "TOLERANCES", MappingProxyType(strict))
    monkeypatch.setattr(equality, "play", lambda device, run, *settings: tmp_path / "cnn_64-true" / "cpu")
    again = equality.compare_with_cpu(Request("cpu", 60.0, tmp_path))
    assert again.numbers == {"cnn 64-true": {"masks": 0.0, "losses": 0.0}}
    assert len(again.faults) == 2


@pytest.mark.slow
def test_a_run_in_bfloat16_keeps_zeros_and_its_accuracy(monkeypatch, tmp_path: Path) -> None:
    from trials.gpu import precision, runs

    monkeypatch.setattr(precision, "corpus", lambda folder, rows: runs.corpus(folder))
    found = precision.compare_precisions(Request("cpu", 60.0, tmp_path))
    assert not found.faults
    assert found.numbers["precision"] == "bf16-mixed"
    assert found.numbers["not_zero"] == 0
    assert found.numbers["steps"] == 2 * 3 * 3 * runs.STEPS  # precisions, rounds, epochs, batches


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_bytes(tmp_path: Path) -> None:
    found = run_apart(Check("kill", "kill:kill_and_resume", 1.0), Request("cpu", 1800.0, tmp_path))
    assert (found.status, found.evidence) == (
        "passed",
        "2 kills (SIGKILL), all tables and tickets equal to the byte",
    )


def test_numbers_that_are_near_but_not_equal_are_measured(tmp_path: Path) -> None:
    from trials.gpu.kill import furthest_apart

    for name, loss in (("one", "2.0"), ("other", "2.001"), ("text", "none")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.csv").write_text(f"round,test_loss,seconds\n0,{loss},{len(name)}\n")
    assert furthest_apart(tmp_path / "one", tmp_path / "other") == pytest.approx(0.0005)
    assert furthest_apart(tmp_path / "one", tmp_path / "text") == float("inf")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_steps_and_a_whole_lottery_are_timed(monkeypatch, tmp_path: Path) -> None:
    from trials.gpu import timing

    monkeypatch.setattr(timing, "STEPS", 2)
    monkeypatch.setattr(timing, "WARM_UP", 1)
    monkeypatch.setattr(timing, "SPARSITIES", (0.9,))
    steps = timing.time_steps(Request("cpu", 60.0, tmp_path))
    (one,) = steps.numbers["tables"]
    assert "| ours, in Lightning's Trainer " in one["table"]
    assert "90.00% pruned, ms: the notebook's loop " in steps.evidence
    whole = timing.run_lottery(Request("cpu", 600.0, tmp_path))
    assert not whole.faults
    assert [row["round"] for row in whole.numbers["rounds"]] == ["0", "1"]
    assert timing.play_whole(["model=none"], tmp_path / "wrong", 600.0).faults[0].startswith("exit code 2: ")
    with pytest.raises(SkipError, match="shows no times"):
        timing.time_steps(Request("stand_in", 60.0, tmp_path))
