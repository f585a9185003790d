"""A ticket that is pushed to the Hub and loaded from it is the same ticket; failures are one line, and lose nothing.

The client is the real one; the Hub is `hub_server`.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import yaml
from hub_server import TOKEN, Hub, Repository, serving
from huggingface_hub import ModelCard
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from lt_lightning import Ticket
from lt_lightning.config.hub_address import HubAddress, is_address, parse_address, repo_fault
from lt_lightning.errors import SettingError
from lt_lightning.evaluate.__main__ import main as evaluate
from lt_lightning.export.__main__ import main
from lt_lightning.export.export import Exported, Wishes, export
from lt_lightning.export.push_request import Push
from lt_lightning.export.pushing import push_export
from lt_lightning.predict import main as predict
from lt_lightning.runs.csv_files import read_records
from lt_lightning.runs.reading import read_run
from lt_lightning.runs.records import Record
from lt_lightning.storage import hub as reaching
from lt_lightning.tickets.file import Packed
from lt_lightning.tickets.hub import find_ticket, pinned
from trials.kills import write_corpus

# The client's own upload of LFS files calls its HTTP library in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=.*' to upload raw bytes:DeprecationWarning")

TEXTS = ["the cat and the dog", "a soup with bread", "", "nothing of that"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("data") / "corpus", train=90, test=41, classes=2)


@pytest.fixture(scope="module")
def run(corpus: Path, run_settings: Callable[..., Path]) -> Path:
    small = ["data=files", f"data.path={corpus}", "trainer=cpu", "embedding.dim=6", "trainer.max_epochs=1"]
    small += ["model.kernel=reference", "optimizer.kernel=reference"]  # compiles nothing
    common = [*small, "pruning.rounds=2", "pruning.amount=0.5", "optimizer.lr=0.02", "seed=3", "model=cnn"]
    return run_settings(common, "model.filters=4")


@pytest.fixture(scope="module")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The last round's ticket, exported."""
    known = read_run(run)
    return export(known, known.records[-1], tmp_path_factory.mktemp("ticket") / "ticket.safetensors", Wishes())


@pytest.fixture(scope="module")
def ticket(exported: Exported) -> Path:
    return exported.places.ticket


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The Hub that the client asks, with a cache of its own; `ann` is logged in."""
    with serving() as hub:
        constants = huggingface_hub.constants
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
        yield hub


@pytest.fixture
def pushed(hub: Hub, ticket: Path) -> Hub:
    """The Hub with one commit of the ticket in `ann/news`."""
    hub.repositories["ann/news"] = Repository()
    add(hub.repositories["ann/news"], "1" * 40, {"ticket.safetensors": ticket.read_bytes(), "README.md": b"# News"})
    return hub


def add(repository: Repository, commit: str, files: dict[str, bytes]) -> None:
    repository.commits[commit] = files
    repository.branches["main"] = commit


def push(run: Path, folder: Path, *more: str) -> list[str]:
    return [str(run), "-o", str(folder / "ticket.safetensors"), "--push", "ann/news", *more]


def test_a_pushed_ticket_gives_the_logits_of_the_file(hub, run, tmp_path, capsys):
    assert main(push(run, tmp_path, "--license", "mit", "--state-dict")) == 0
    printed = capsys.readouterr().out
    repository = hub.repositories["ann/news"]
    assert set(repository.files) == {
        "README.md", "ticket.safetensors", "ticket_accuracy.png", "ticket_dense.safetensors", "ticket_tokenizer.json",
    }  # fmt: skip
    assert repository.files["ticket.safetensors"] == (tmp_path / "ticket.safetensors").read_bytes()
    (commit,) = repository.messages
    record = read_records(run / "results.csv", Record)[2]
    assert repository.messages[commit].endswith(f"test accuracy {100 * record.test_acc:.2f} %")
    assert f"hub      {hub.url}/ann/news/commit/{commit}" in printed
    assert 'predict hf://ann/news "a text"' in printed
    assert not repository.private
    expected = Ticket.load(tmp_path / "ticket.safetensors").logits(TEXTS)
    for address in ("hf://ann/news", f"hf://ann/news@{commit}", "hf://ann/news/ticket.safetensors"):
        np.testing.assert_array_equal(Ticket.load(address).logits(TEXTS), expected)
    assert predict(["hf://ann/news", TEXTS[0]]) == 0
    there = capsys.readouterr().out
    assert predict([str(tmp_path / "ticket.safetensors"), TEXTS[0]]) == 0
    assert capsys.readouterr().out == there


def test_the_card_s_metadata_are_what_was_measured(hub, run, tmp_path, capsys):
    message = ["--commit-message", "The first", "--revision", "round-1"]
    assert main(push(run, tmp_path, "--round", "1", "--license", "apache-2.0", "--private", *message)) == 0
    repository = hub.repositories["ann/news"]
    assert (repository.private, repository.files) == (True, {})
    files = repository.commits[repository.branches["round-1"]]
    assert [*repository.messages.values()] == ["The first"]
    text = files["README.md"].decode()
    data, record = ModelCard(text).data, read_records(run / "results.csv", Record)[1]
    assert (data.license, data.library_name, data.pipeline_tag) == ("apache-2.0", "lt-lightning", "text-classification")
    assert {"lottery-ticket", "pruning", "sparsity", "text-classification"} <= set(data.tags or [])
    assert data.get("datasets") is None  # a folder on disk is no data set of the Hub
    (result,) = data.eval_results or []
    assert (result.metric_type, result.metric_value) == ("accuracy", pytest.approx(record.test_acc, abs=1e-6))
    assert (result.dataset_split, result.dataset_args) == ("test", {"rows": 41})
    assert result.metric_args == {
        "density": pytest.approx(1 - record.sparsity, abs=1e-6), "alive": record.alive, "total": record.total,
    }  # fmt: skip
    assert 'Ticket.load("hf://ann/news/ticket.safetensors")' in text
    local = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert 'Ticket.load("ticket.safetensors")' in local
    assert yaml.safe_load(local.split("---\n")[1])["license"] == "apache-2.0"
    # Later: without the branch's ticket, with another file, in a repository that is private already.
    capsys.readouterr()
    assert main(push(run, tmp_path, "--state-dict", "--private")) == 0
    assert "licence  none is stated; --license ID" in capsys.readouterr().out
    assert main(push(run, tmp_path)) == 0
    assert "removed ticket_dense.safetensors, which an earlier push had" in capsys.readouterr().out
    assert set(repository.files) == {"README.md", "ticket.safetensors", "ticket_accuracy.png"}


def test_a_revision_is_pinned_and_the_main_branch_moves_on(pushed, ticket, tmp_path):
    repository = pushed.repositories["ann/news"]
    assert find_ticket("hf://ann/news").read_bytes() == ticket.read_bytes()
    packed = Packed.load(ticket)
    replace(packed, about={**packed.about, "round": 7}).save(tmp_path / "other")
    add(repository, "2" * 40, {"ticket.safetensors": (tmp_path / "other").read_bytes()})
    repository.branches["v1"] = "1" * 40
    rounds = {at: Ticket.load(f"hf://ann/news{at}").packed.about["round"] for at in ("", "@v1", "@" + "1" * 40)}
    assert rounds == {"": 7, "@v1": 2, "@" + "1" * 40: 2}
    path = find_ticket("hf://ann/news")
    assert pinned("hf://ann/news", path) == f"hf://ann/news@{'2' * 40}/ticket.safetensors"
    assert pinned(ticket, ticket) == str(ticket)


def test_a_cached_ticket_needs_no_network(pushed, monkeypatch, caplog):
    expected = Ticket.load("hf://ann/news").logits(TEXTS)
    pushed.asked.clear()
    Ticket.load("hf://ann/news@" + "1" * 40)
    assert pushed.asked == []  # a commit never changes
    pushed.stop()
    for address in ("hf://ann/news", "hf://ann/news@main", "hf://ann/news@main/ticket.safetensors"):
        np.testing.assert_array_equal(Ticket.load(address).logits(TEXTS), expected)
    assert f"hf://ann/news: the Hub is out of reach; the cached hf://ann/news@{'1' * 40}/ticket" in caplog.text
    caplog.clear()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    np.testing.assert_array_equal(Ticket.load("hf://ann/news").logits(TEXTS), expected)
    assert caplog.text == ""
    with pytest.raises(SettingError, match=r"^hf://ann/other: not in the cache, and HF_HUB_OFFLINE is set; unset it"):
        Ticket.load("hf://ann/other")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(SettingError, match=r"^hf://ann/other: not in the cache, and the Hub is out of reach; "):
        Ticket.load("hf://ann/other")


def test_a_hub_that_does_not_answer_is_not_waited_for(pushed, monkeypatch):
    Ticket.load("hf://ann/news")
    release = threading.Event()
    monkeypatch.setattr(reaching, "CONNECT_SECONDS", 0.1)
    pushed.refuse = lambda method, path: release.wait(30) and None
    Ticket.load("hf://ann/news")
    release.set()


def test_dense_weights_beside_a_ticket_are_not_taken_for_one(pushed, ticket):
    data = ticket.read_bytes()
    add(pushed.repositories["ann/news"], "2" * 40, {
        "a.safetensors": data, "a_dense.safetensors": b"", "model.safetensors": b"",
        "model-00001-of-00002.safetensors": b"",
    })  # fmt: skip
    assert find_ticket("hf://ann/news").name == "a.safetensors"
    add(pushed.repositories["ann/news"], "3" * 40, {"model.safetensors": data})
    assert find_ticket("hf://ann/news").name == "model.safetensors"


def test_what_cannot_be_loaded_is_one_line(pushed, ticket, monkeypatch):
    repository = pushed.repositories["ann/news"]
    data = ticket.read_bytes()
    add(repository, "2" * 40, {"a.safetensors": data, "r/b.safetensors": data})
    add(repository, "3" * 40, {"README.md": b"", "broken.safetensors": data[:-1]})
    add(repository, "4" * 40, {"README.md": b""})
    pushed.repositories["bob/own"] = Repository(private=True)
    for address, said in (
        ("hf://ann/news@" + "2" * 40, r"the repository has 2 tickets, a\.safetensors, r/b\.safetensors; name one, such "
            r"as hf://ann/news@2{40}/a\.safetensors"),
        ("hf://ann/news@" + "2" * 40 + "/c.safetensors", r"there is no such file; the repository has a\.safetensors, "),
        ("hf://ann/news", r"the repository has no \.safetensors file"),
        ("hf://ann/news@v9", "the repository has no branch, tag or commit 'v9'"),
        ("hf://ann/none", "no such repository, or a private one; check the name, or log in: hf auth login"),
        ("hf://bob/own", "no such repository, or a private one"),
    ):  # fmt: skip
        with pytest.raises(SettingError, match=rf"^{re.escape(address)}: {said}") as raised:
            Ticket.load(address)
        assert "\n" not in str(raised.value)
    with pytest.raises(SettingError, match=r"broken\.safetensors: cut off or changed since"):
        Ticket.load("hf://ann/news@" + "3" * 40)
    pushed.refuse = lambda method, path: (403, "GatedRepo")
    with pytest.raises(SettingError, match="its owner must grant access"):
        Ticket.load("hf://ann/news")
    pushed.refuse = lambda method, path: (429, "")
    with pytest.raises(SettingError, match="the Hub refuses it"):
        Ticket.load("hf://ann/news")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("no token", "no token; hf auth login, or set HF_TOKEN, and push again"),
        ("another token", "the Hub does not know the token; hf auth login"),
        ("a reader's token", "the token may not write to ann; hf auth login"),
        ("a reader's token, new", "the token may not write to ann; hf auth login"),
        ("public", "the repository is public; leave --private out"),
        ("a data set, new", "the name is taken by a repository of another type; give another name"),
        ("licence", '"license" must not be nonsense'),
        ("stopped", "the Hub is out of reach"),
        ("offline", "HF_HUB_OFFLINE is set; unset it and push again"),
        ("full", "the Hub is out of reach"),
    ],
)
def test_a_push_that_fails_keeps_the_file_and_names_the_cause(hub, exported, monkeypatch, change, said):
    if not change.endswith("new"):
        hub.repositories["ann/news"] = Repository()
    if change == "no token":
        monkeypatch.delenv("HF_TOKEN")
    elif change == "another token":
        monkeypatch.setenv("HF_TOKEN", "hf_nobody")
    elif change.startswith("a reader"):
        monkeypatch.setenv("HF_TOKEN", "hf_reader")
    elif change.startswith("a data set"):
        hub.data_sets.add("ann/news")
    elif change == "stopped":
        hub.stop()
    elif change == "offline":
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    elif change == "full":
        hub.refuse = lambda method, path: (507, "") if "/commit/" in path else None
    wishes = Wishes(licence="nonsense") if change == "licence" else Wishes()
    before = exported.places.ticket.read_bytes()
    with pytest.raises(SettingError) as raised:
        push_export(replace(exported, wishes=wishes), Push("ann/news", private=change == "public"))
    line = str(raised.value)
    assert line.startswith("--push: ann/news: ")
    assert said in line
    assert line.endswith(f"; {exported.places.ticket} is kept")
    assert "\n" not in line
    assert exported.places.ticket.read_bytes() == before
    assert not any(repository.messages for repository in hub.repositories.values())


def test_a_command_that_cannot_push_has_exported(hub, run, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_nobody")
    assert main(push(run, tmp_path)) == 2
    found = capsys.readouterr()
    assert found.err.startswith("--push: ann/news: the Hub does not know the token; ")
    assert found.err.count("\n") == 1
    assert f"ticket   {tmp_path / 'ticket.safetensors'}" in found.out
    Ticket.load(tmp_path / "ticket.safetensors")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--push", "news"], "--push: 'news' is not OWNER/NAME; give a repository, such as ann/news-ticket"),
        (["--push", "ann/a--b"], "--push: 'ann/a--b' has -- or .."),
        (["--push", "ann/news", "--revision", "a b"], "--revision: 'a b' is not the name of a branch"),
        (["--push", "ann/news", "--commit-message", " "], "--commit-message: empty; give a line"),
        (
            ["--push", "ann/news", "-o", "model.safetensors", "--hf", "f"],
            "--output: model.safetensors is called as the",
        ),
        (["--private"], "argument --private: it needs --push"),
        (["--push", "ann/news", "--license", "My own"], "argument --license/--licence: 'My own' is not the identifier"),
    ],
)
def test_a_push_that_cannot_be_is_refused_before_anything_is_read(tmp_path, capsys, more, said):
    try:
        code = main([str(tmp_path / "no_run"), *more])
    except SystemExit as stopped:  # by the parser
        code = stopped.code
    assert code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(said)
    assert [*tmp_path.iterdir()] == []


def test_repositories_are_named_as_the_client_wants_them():
    for name in (
        "ann/news", "a/b", "Ann_1/news.v1-x", "ann/a--b", "ann/a..b", "ann/a.git", "ann/.a", "ann/a.", "ann/-a",
        "ann/a-", "ann/" + "a" * 96, "ann/" + "a" * 97, "ann/a b", "ann/é", "a/b/c", "ann/", "/a", "",
    ):  # fmt: skip
        try:
            validate_repo_id(name)
            is_fine = "/" in name  # an owner is asked for here
        except HFValidationError:
            is_fine = False
        assert (repo_fault(name) is None) == is_fine, name


def test_addresses_are_read_and_shown(tmp_path):
    assert parse_address("hf://ann/news@refs%2Fpr%2F1/r/t.safetensors") == HubAddress(
        "ann/news", "refs/pr/1", "r/t.safetensors"
    )
    for text in ("hf://ann/news", "hf://ann/news@v1", "hf://ann/news@refs%2Fpr%2F1/t.safetensors"):
        assert str(parse_address(text)) == text
    assert parse_address(Path("hf://ann/news")) == parse_address("hf://ann/news")  # pathlib drops a slash
    assert not is_address("hf/ann") and not is_address(tmp_path)
    for text in ("hf://ann", "hf://ann/news@", "hf://ann/news/t.bin", "hf://ann/news/../t.safetensors", "hf://a/b--c"):
        with pytest.raises(SettingError, match=rf"^'{re.escape(text)}': .*; write hf://OWNER/NAME, "):
            parse_address(text)


@pytest.mark.slow
def test_other_commands_take_a_ticket_of_the_hub(pushed, corpus, run_settings, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert evaluate(["hf://ann/news", "data=files", f"data.path={corpus}"]) == 0
    found = json.loads((tmp_path / "news_files_test" / "evaluation.json").read_text(encoding="utf-8"))
    assert "hf://ann/news" in (tmp_path / "news_files_test" / "evaluation.html").read_text(encoding="utf-8")
    assert found["accuracy"] == pytest.approx(Ticket.load("hf://ann/news").packed.about["test_acc"])
    settings = [
        *("data=files", f"data.path={corpus}", "trainer=cpu", "embedding.dim=6", "trainer.max_epochs=1"),
        *("pruning.rounds=0", "pruning.rewind=none", "model=cnn", "model.filters=4"),
        *("model.kernel=reference", "optimizer.kernel=reference"),
    ]
    begun = run_settings(settings, "pruning.ticket=hf://ann/news")
    origin = json.loads((begun / "run.json").read_text(encoding="utf-8"))["ticket"]
    assert origin["file"] == f"hf://ann/news@{'1' * 40}/ticket.safetensors"
    assert origin["seal"] == Packed.load(find_ticket("hf://ann/news")).seal
