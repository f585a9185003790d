"""examples/serve: the service answers as its ticket does, refuses the rest, and runs as its Dockerfile starts it."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from time import monotonic, sleep
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from packing import make_packed

from benchmarks.image import ROOT, build_wheel, compressed_size, follow, read_dockerfile
from lt_lightning import Ticket

pytest.importorskip("fastapi", reason="part of the extra serving")
uvicorn = pytest.importorskip("uvicorn", reason="part of the extra serving")

FOLDER = ROOT / "examples/serve"
TEXTS = ["w2 w3, w4!", "", "w5 unknown W6", "w7 w8 w2 w2 w3"]
PATIENCE = 60
"""Seconds that a process may take to start or to stop."""


@pytest.fixture(scope="module")
def ticket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ticket") / "ticket.safetensors"
    make_packed().save(path)
    return path


@pytest.fixture(scope="module")
def service(ticket: Path) -> Iterator[tuple[ModuleType, int]]:
    """Serve the application from a thread of this process, and return its module and port."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TICKET", str(ticket))
        spec = importlib.util.spec_from_file_location("served_app", FOLDER / "app.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, "served_app", module)
        spec.loader.exec_module(module)
        with socket.socket() as place:
            place.bind(("127.0.0.1", 0))
            config = uvicorn.Config(module.app, log_level="error", loop="asyncio", http="h11", ws="none")
            server = uvicorn.Server(config)
            thread = Thread(target=server.run, kwargs={"sockets": [place]})
            thread.start()
            while not server.started and thread.is_alive():
                sleep(0.01)
            yield module, place.getsockname()[1]
            server.should_exit = True
            thread.join()


def ask(port: int, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
    """Send a request, and return the status and the JSON of the answer."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    method, headers = "GET" if body is None else "POST", {"content-type": "application/json"}
    try:
        connection.request(method, path, body, headers, **options)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def check_answers(answers: list[dict[str, Any]], path: Path, texts: list[str]) -> None:
    expected = Ticket.load(path)
    names, rows = expected.class_names, expected.predict(texts)
    for answer, row in zip(answers, rows, strict=True):
        assert list(answer["probabilities"]) == list(names)
        np.testing.assert_allclose(list(answer["probabilities"].values()), row, rtol=1e-5, atol=1e-7)
        assert answer["prediction"] == names[int(row.argmax())]
        assert answer["probability"] == max(answer["probabilities"].values())


def test_answers_are_the_tickets(service: tuple[ModuleType, int], ticket: Path) -> None:
    assert ask(service[1], "/health") == (200, {"status": "ok"})
    status, answers = ask(service[1], "/predict", json.dumps({"texts": TEXTS}))
    assert status == 200
    check_answers(answers, ticket, TEXTS)
    assert ask(service[1], "/predict", '{"texts": []}') == (200, [])


def test_concurrent_requests_get_their_own_answers(service: tuple[ModuleType, int], ticket: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        questions = [[TEXTS[number % 4]] for number in range(40)]
        answers = pool.map(lambda texts: ask(service[1], "/predict", json.dumps({"texts": texts})), questions)
    for texts, (status, answer) in zip(questions, answers, strict=True):
        assert status == 200
        check_answers(answer, ticket, texts)


@pytest.mark.parametrize(("body", "place", "kind"), [
    (b"{", ["body", 1], "json_invalid"),
    (b"{}", ["body", "texts"], "missing"),
    (b'{"texts": "a"}', ["body", "texts"], "list_type"),
    (b'{"texts": ["a", 1]}', ["body", "texts", 1], "string_type"),
    (b'{"texts": [NaN]}', ["body", "texts", 0], "string_type"),
    (rb'{"texts": ["\ud800"]}', ["body", "texts", 0], "string_unicode"),
    (json.dumps({"texts": ["a"] * 257}), ["body", "texts"], "too_long"),
    (json.dumps({"texts": ["a" * 10_001]}), ["body", "texts", 0], "string_too_long"),
])  # fmt: skip
def test_a_wrong_body_is_named_and_not_repeated(
    service: tuple[ModuleType, int], body: bytes | str, place: list[Any], kind: str
) -> None:
    status, answer = ask(service[1], "/predict", body)
    assert status == 422
    [fault] = answer["detail"]
    assert (fault["loc"], fault["type"]) == (place, kind)
    assert set(fault) == {"type", "loc", "msg"}


def test_a_long_body_is_not_read_to_its_end(service: tuple[ModuleType, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service[0], "MAX_BYTES", 100)
    long = json.dumps({"texts": ["a" * 100]})
    for body in (long, iter([long.encode()])):
        status, answer = ask(service[1], "/predict", body, encode_chunked=not isinstance(body, str))
        assert (status, answer["detail"]) == (413, "the body is longer than 100 bytes; send fewer texts at a time")
    assert ask(service[1], "/predict", '{"texts": ["w2"]}')[0] == 200


@pytest.mark.parametrize(("given", "said"), [
    ("", "TICKET: not set; set it to a ticket's file, such as TICKET=news.safetensors"),
    ("/nothing.safetensors", "/nothing.safetensors: no such file; "),
])  # fmt: skip
def test_a_missing_ticket_is_one_line(
    service: tuple[ModuleType, int], monkeypatch: pytest.MonkeyPatch, capsys, given: str, said: str
) -> None:
    monkeypatch.setenv("TICKET", given)
    with pytest.raises(SystemExit, match=r"^3$"):
        service[0].load_ticket()
    line = capsys.readouterr().err
    assert line.startswith(said) and line.count("\n") == 1


def test_the_limits_are_those_of_the_page(service: tuple[ModuleType, int]) -> None:
    page = (ROOT / "docs/serving.md").read_text(encoding="utf-8")
    for limit in (service[0].MAX_TEXTS, service[0].MAX_CHARACTERS, service[0].MAX_BYTES):
        assert f" {limit:,} " in page


def test_the_page_shows_the_dockerfile() -> None:
    page = (ROOT / "docs/serving.md").read_text(encoding="utf-8")
    assert f"```dockerfile\n{(FOLDER / 'Dockerfile').read_text(encoding='utf-8')}```" in page


def test_the_dockerfile_starts_as_a_user_without_rights_and_with_one_thread() -> None:
    lines = list(read_dockerfile((FOLDER / "Dockerfile").read_text(encoding="utf-8")))
    names = [one.name for one in lines]
    assert (names[0], names[-1], names.count("CMD"), names.count("HEALTHCHECK")) == ("FROM", "CMD", 1, 1)
    said = {one.name: one.arguments for one in lines}
    assert said["USER"].isdigit() and int(said["USER"]) > 0
    assert "OMP_NUM_THREADS=1" in said["ENV"].split()
    assert names.index("USER") > max(place for place, name in enumerate(names) if name in ("RUN", "COPY"))


def test_sizes_are_those_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "zeros").write_bytes(bytes(100_000))
    (tmp_path / "noise").write_bytes(np.random.default_rng(0).bytes(100_000))
    assert compressed_size([tmp_path / "zeros"], tmp_path) < 1000
    assert 100_000 < compressed_size([tmp_path / "noise"], tmp_path) < 101_000


@pytest.mark.slow
def test_the_dockerfile_builds_a_service_that_answers_and_stops(ticket: Path, tmp_path: Path) -> None:
    context, scratch = tmp_path / "context", tmp_path / "scratch"
    shutil.copytree(FOLDER, context)
    scratch.mkdir()
    shutil.copyfile(ticket, context / "ticket.safetensors")
    build_wheel(context)
    variables = {"PIP_CONSTRAINT": str(ROOT / "constraints.txt"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    image = follow(FOLDER / "Dockerfile", context, scratch, variables)
    installed = {path.name for path in image.environment.glob("lib/python*/site-packages/*")}
    assert {"fastapi", "lt_lightning"} <= installed and "torch" not in installed
    assert [one.instruction.name for one in image.layers] == ["COPY", "RUN", "COPY"]
    assert 10e6 < image.layers[1].compressed < image.layers[1].size < 150e6

    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
    command, health = ([word.replace("8000", str(port)) for word in words] for words in (image.command, image.health))
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | image.variables
    common: dict[str, Any] = {"cwd": image.folder, "env": environment, "stderr": subprocess.PIPE, "text": True}
    python = [image.environment / "bin" / command[0], *command[1:]]
    check = [image.environment / "bin" / health[0], *health[1:]]
    with subprocess.Popen(python, **common) as process:
        try:
            until = monotonic() + PATIENCE
            while subprocess.run(check, **common, check=False).returncode != 0:
                assert process.poll() is None and monotonic() < until
                sleep(0.2)
            status, answers = ask(port, "/predict", json.dumps({"texts": TEXTS}))
            assert status == 200
            check_answers(answers, ticket, TEXTS)
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    # After an orderly end uvicorn raises the signal again; as a container's first process it exits with 0.
    assert process.returncode == -signal.SIGTERM
    assert "Application shutdown complete" in said and "Traceback" not in said
    assert subprocess.run(check, **common, check=False).returncode != 0
