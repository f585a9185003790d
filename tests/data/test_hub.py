"""The Hub: fetched once, then never asked again; and within five seconds it is said that it cannot be had."""

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import datasets
import huggingface_hub
import huggingface_hub.constants
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lt_lightning.data.corpus import load_corpus
from lt_lightning.data.sources.hub import fetch_dataset, fetch_file
from lt_lightning.storage import hub

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAMES = datasets.ClassLabel(names=["no", "yes"])


def parquet(path: Path, texts: list[str], labels: list[int]) -> None:
    features = datasets.Features({"text": datasets.Value("string"), "label": NAMES})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"text": texts, "label": labels}, schema=features.arrow_schema), path)


@pytest.fixture
def cached(tmp_path, monkeypatch) -> Path:
    """The snapshot folder of `own/corpus` in a cache of the layout that huggingface_hub keeps, empty at first."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    repo = tmp_path / "datasets--own--corpus"
    snapshot = repo / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs/main").write_text(COMMIT)
    return snapshot


@pytest.fixture(autouse=True)
def no_network(monkeypatch) -> None:
    """Fail the test if the Hub is asked at all; those that ask a stand-in take this back."""
    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", lambda *_, **__: pytest.fail("asked the Hub"))


@pytest.fixture
def hub_answers(monkeypatch) -> None:
    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", lambda *_, **__: None)


def test_what_is_in_the_cache_is_read_without_asking(cached):
    parquet(cached / "data/train-00000-of-00001.parquet", ["a", "b", "c"], [0, 1, 1])
    parquet(cached / "data/test-00000-of-00001.parquet", ["d"], [1])
    splits = fetch_dataset("own/corpus")
    assert set(splits) == {"train", "test"}
    assert splits["train"].to_list() == [{"text": t, "label": n} for t, n in zip("abc", (0, 1, 1), strict=True)]
    assert splits["train"].features["label"] == NAMES


def test_a_snapshot_counts_as_whole_without_the_files_that_nobody_wants(cached):
    files = ["train.parquet", "test.parquet"]
    for name in files:
        parquet(cached / name, ["a", "b"] * 2, [0, 1] * 2)
    tree = {name: {"size": 1, "blob_id": COMMIT} for name in [*files, "README.md", "unsupervised.parquet"]}
    (cached.parents[1] / "trees").mkdir()
    (cached.parents[1] / f"trees/{COMMIT}.json").write_text(json.dumps({"format_version": 1, "files": tree}))
    assert len(fetch_dataset("own/corpus")["train"]) == 4


def test_the_parts_of_a_split_are_read_in_order(cached):
    for part in range(3):
        parquet(cached / f"train-{part:05}-of-00003-9b74b3ef9c3b56.parquet", [f"{part}"], [0])
    parquet(cached / "test-00000-of-00001.parquet", ["d"], [1])
    parquet(cached / "train_extra.parquet", ["not", "these"], [1, 1])
    parquet(cached / "testing-00000-of-00001.parquet", ["nor these"], [1])
    splits = fetch_dataset("own/corpus")
    assert splits["train"]["text"][:] == ["0", "1", "2"]
    assert splits["test"]["text"][:] == ["d"]


@pytest.mark.parametrize("there", [["train-00000-of-00001"], ["train-00000-of-00002", "test-00000-of-00001"]])
def test_after_a_broken_download_the_rest_is_fetched(cached, there, hub_answers, monkeypatch):
    for name in there:
        parquet(cached / f"{name}.parquet", ["a", "b"], [0, 1])
    asked = []

    def download(repo, *, local_files_only=False, **options):
        if not local_files_only:
            asked.append((repo, options["repo_type"]))
            parquet(cached / "train-00001-of-00002.parquet", ["c"], [0])
            (cached / "train-00000-of-00001.parquet").unlink(missing_ok=True)
            parquet(cached / "train-00000-of-00002.parquet", ["a", "b"], [0, 1])
            parquet(cached / "test-00000-of-00001.parquet", ["d"], [0])
        return str(cached)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert fetch_dataset("own/corpus")["train"]["text"][:] == ["a", "b", "c"]
    assert fetch_dataset("own/corpus")["train"]["text"][:] == ["a", "b", "c"]
    assert asked == [("own/corpus", "dataset")]


def test_a_data_set_without_parquet_files_is_refused(cached, hub_answers, monkeypatch, refused):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(cached))
    with refused("data.hub", "own/corpus", "no train and test as parquet", "data.path"):
        fetch_dataset("own/corpus")


def test_several_configurations_are_not_mixed(cached, refused):
    for name in ("english", "french"):
        for split in ("train", "test"):
            parquet(cached / f"{name}/{split}-00000-of-00001.parquet", ["a"], [0])
    with refused("data.hub", "own/corpus", "several configurations (english, french)", "data.hub_config=english"):
        fetch_dataset("own/corpus")


@pytest.mark.parametrize("layout", ["{}/{}-00000-of-00001.parquet", "data/{}/{}.parquet", "{}/{}/0000.parquet"])
def test_a_configuration_is_chosen_by_name(cached, data_config, layout):
    for name in ("english", "old english", "french"):
        for split in ("train", "test"):
            parquet(cached / layout.format(name, split), [f"{name} {place}" for place in range(4)], [0, 1] * 2)
    for name in ("english", "french", "old english"):
        texts = fetch_dataset("own/corpus", name)["train"]["text"][:]
        assert texts == [f"{name} {place}" for place in range(4)]
    corpus = load_corpus(data_config(hub="own/corpus", hub_config="french"))
    assert corpus.source == "Hugging Face Hub, own/corpus, french"


def test_a_configuration_that_there_is_not_is_named_with_the_others(cached, monkeypatch, refused):
    files = [huggingface_hub.hf_api.RepoSibling(f"{name}/train.parquet") for name in ("english", "french")]
    info = type("Info", (), {"siblings": files})
    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", lambda *_, **__: info)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(cached))
    with refused("data.hub_config", "own/corpus", "'german'", "choose from english, french"):
        fetch_dataset("own/corpus", "german")


def test_a_data_set_without_a_test_split_is_read_without_asking_again(cached, data_config, hub_answers, monkeypatch):
    parquet(cached / "train.parquet", [f"text {place}" for place in range(20)], [0, 1] * 10)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(cached))
    assert set(fetch_dataset("own/corpus")) == {"train"}
    corpus = load_corpus(data_config(hub="own/corpus", test_fraction=0.2))
    assert [len(corpus.splits[split]) for split in ("train", "test")] == [16, 4]
    (cached.parents[1] / "trees").mkdir()
    tree = {"format_version": 1, "files": {"train.parquet": {"size": 1, "blob_id": COMMIT}}}
    (cached.parents[1] / f"trees/{COMMIT}.json").write_text(json.dumps(tree))
    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", lambda *_, **__: pytest.fail("asked the Hub"))
    assert set(fetch_dataset("own/corpus")) == {"train"}


@pytest.mark.slow
@pytest.mark.skipif(
    tuple(map(int, huggingface_hub.__version__.split(".")[:2])) < (1, 28),
    reason="older clients keep no list, and the Hub is asked again",
)
@pytest.mark.parametrize("fake_hub", [["train"]], indirect=True)
def test_the_client_keeps_the_list_of_files_that_says_that_there_is_no_test_split(fake_hub, tmp_path):
    """The list is huggingface_hub's own: this fails where a new version keeps it elsewhere."""
    endpoint, asked = fake_hub
    assert fetch_elsewhere(tmp_path, endpoint).stdout == "4\n"
    asked.clear()
    second = fetch_elsewhere(tmp_path, endpoint)
    assert (second.stdout, asked) == ("4\n", []), second.stderr


def test_a_damaged_file_in_the_cache_is_named(cached, refused):
    for split in ("train", "test"):
        (cached / f"{split}.parquet").write_bytes(b"damaged" * 9)
    with refused("own/corpus", "delete", str(cached), "data.path"):
        fetch_dataset("own/corpus")


@pytest.mark.parametrize("repo", ["a/b/c", "sp ace/x"])
def test_what_is_no_repository_s_name_is_named(repo, refused):
    with refused("data.hub", repo, "owner/name"):
        fetch_dataset(repo)


def test_a_file_of_a_model_is_found_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    repo = tmp_path / "models--own--vectors"
    (repo / "snapshots" / COMMIT).mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs/main").write_text(COMMIT)
    (repo / "snapshots" / COMMIT / "vectors.zip").write_bytes(b"here")
    assert fetch_file("own/vectors", "vectors.zip", "embedding", "do without").read_bytes() == b"here"


REMEDIES = ("data: own/corpus is not in the cache", "data.path", "data=pydocs")


OFFLINE = huggingface_hub.errors.OfflineModeIsEnabled("Cannot reach: offline mode is enabled.")


@pytest.mark.parametrize(("error", "said"), [
    (ConnectionError("Name or service not known\nand more lines"), "out of reach"),
    (OFFLINE, "HF_HUB_OFFLINE is set; unset it"),
])  # fmt: skip
def test_no_network_is_said_with_the_remedies(cached, monkeypatch, refused, error, said):
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", fail)
    with refused(*REMEDIES, said):
        fetch_dataset("own/corpus")
    with refused("embedding: own/vectors is not in the cache", said, "do without"):
        fetch_file("own/vectors", "vectors.zip", "embedding", "do without")


def test_a_look_up_that_hangs_is_not_waited_for(cached, monkeypatch, refused):
    """No timeout of a request holds for the look-up of the host's name, which may take half a minute."""
    assert hub.CONNECT_SECONDS <= 3  # which leaves two of the five seconds for starting up
    monkeypatch.setattr(hub, "CONNECT_SECONDS", 0.3)
    release = threading.Event()
    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", lambda *_, **__: release.wait(30))
    began = time.monotonic()
    with refused(*REMEDIES, "out of reach"):
        fetch_dataset("own/corpus")
    waited = time.monotonic() - began
    release.set()
    assert 0.3 <= waited < 2


@pytest.mark.parametrize("error", [OSError("No space left on device"), RuntimeError("the server hung up\nat once")])
def test_a_download_that_breaks_off_is_said(cached, hub_answers, monkeypatch, error, refused):
    download = huggingface_hub.snapshot_download

    def fail(*arguments, local_files_only=False, **options):
        if local_files_only:
            return download(*arguments, local_files_only=True, **options)
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with refused("data: the download of own/corpus failed", str(error).splitlines()[0], "start again"):
        fetch_dataset("own/corpus")


def test_a_corpus_of_the_hub_says_where_it_comes_from(cached, data_config):
    for split in ("train", "test"):
        parquet(cached / f"{split}.parquet", ["a", "b"] * 2, [0, 1] * 2)
    corpus = load_corpus(data_config(hub="own/corpus", class_names=["negative", "positive"]))
    assert corpus.source == "Hugging Face Hub, own/corpus"
    assert corpus.class_names == ("negative", "positive")


# A small Hub of our own, for the client as it really is.


class FakeHub(BaseHTTPRequestHandler):
    """Answers what huggingface_hub asks about a data set: its commit, its files, and the files themselves."""

    files: dict[str, bytes]
    asked: list[str]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        self.asked.append(self.path)
        headers = {"Content-Type": "application/json"}
        if "/resolve/" in self.path:
            content = self.files[self.path.partition(f"/resolve/{COMMIT}/")[2]]
            headers = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
        elif "/tree/" in self.path:
            entries = [
                {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                for name, data in self.files.items()
            ]
            content = json.dumps(entries).encode()
        else:
            siblings = [{"rfilename": name} for name in self.files]
            content = json.dumps({"id": "own/corpus", "sha": COMMIT, "siblings": siblings}).encode()
        self.send_response(200)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def fake_hub(tmp_path, request) -> Iterator[tuple[str, list[str]]]:
    """The address of a Hub that has `own/corpus` with both splits or those of the parameter, and what it was asked."""
    names = getattr(request, "param", ("train", "test"))
    for split in names:
        parquet(tmp_path / f"{split}.parquet", ["a", "b"] * 2, [0, 1] * 2)
    files = {f"data/{split}-00000-of-00001.parquet": (tmp_path / f"{split}.parquet").read_bytes() for split in names}
    handler = type("Handler", (FakeHub,), {"files": {**files, "README.md": b"read me"}, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", handler.asked
    server.shutdown()
    thread.join()
    server.server_close()


def fetch_elsewhere(tmp_path: Path, endpoint: str) -> subprocess.CompletedProcess[str]:
    code = "from lt_lightning.data.sources.hub import fetch_dataset; print(len(fetch_dataset('own/corpus')['train']))"
    environment = {
        **{key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"},
        "HF_HOME": str(tmp_path / "home"),
        "HF_ENDPOINT": endpoint,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_the_hub_is_asked_once_and_for_nothing_that_is_not_read(fake_hub, tmp_path):
    endpoint, asked = fake_hub
    first = fetch_elsewhere(tmp_path, endpoint)
    assert (first.returncode, first.stdout) == (0, "4\n"), first.stderr
    assert any("train-00000" in path for path in asked)
    assert not any("README" in path for path in asked)
    asked.clear()
    second = fetch_elsewhere(tmp_path, endpoint)
    assert (second.returncode, second.stdout, asked) == (0, "4\n", []), second.stderr


@pytest.mark.slow
def test_a_hub_that_is_out_of_reach_is_given_up_within_five_seconds(tmp_path):
    began = time.monotonic()
    done = fetch_elsewhere(tmp_path, "http://127.0.0.1:9")  # nobody listens there
    assert "data=pydocs" in done.stderr.splitlines()[-1]
    assert time.monotonic() - began < 5
