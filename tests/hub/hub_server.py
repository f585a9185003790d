"""A small Hugging Face Hub of the tests' own, over HTTP, for the client as it really is.

It keeps model repositories in memory: branches, commits, small files and LFS files. It answers as
https://huggingface.co does, as far as the client asks when an export is pushed or a ticket is loaded.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

TOKEN = "hf_of_the_tests"
"""The token of the user `ann`; `hf_reader` is that of one who may not write."""
_USERS = {TOKEN: "ann", "hf_reader": "bob"}
_LICENCES = ("apache-2.0", "mit")
_LFS = (".safetensors", ".onnx", ".png")


@dataclass
class Repository:
    """A model repository."""

    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"0" * 40: {}})
    messages: dict[str, str] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=lambda: {"main": "0" * 40})

    def commit_of(self, revision: str) -> str | None:
        """Return the commit of a branch, or of a hash."""
        return self.branches.get(revision, revision if revision in self.commits else None)

    @property
    def files(self) -> dict[str, bytes]:
        """Return the files of the main branch."""
        return self.commits[self.branches["main"]]


@dataclass
class Hub:
    """The content of the Hub, and the requests that it got."""

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    data_sets: set[str] = field(default_factory=set)
    objects: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    refuse: Callable[[str, str], tuple[int, str] | None] = lambda method, path: None
    stop: Callable[[], None] = lambda: None
    is_stopped: bool = False


class RefusalError(Exception):
    """An answer with an error status."""

    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._handle()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def _handle(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        self.body = self._read()
        if self.hub.is_stopped:  # connections that are open still
            self.close_connection = True
            return
        try:
            if refused := self.hub.refuse(self.command, path):
                raise RefusalError(*refused)
            for methods, pattern, answer in _ROUTES:
                found = re.fullmatch(pattern, path)
                if found and self.command in methods:
                    answer(self, *found.groups())
                    return
            raise RefusalError(404, "EntryNotFound", f"no route for {self.command} {path}")
        except RefusalError as refusal:
            headers = {"X-Error-Code": refusal.code, "X-Error-Message": refusal.message}
            self._send({"error": refusal.message}, refusal.status, {key: one for key, one in headers.items() if one})

    def _read(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _send(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    @property
    def _user(self) -> str | None:
        return _USERS.get(self.headers.get("Authorization", "").removeprefix("Bearer "))

    def _repository(self, name: str, *, to_write: bool = False) -> Repository:
        found = self.hub.repositories.get(name)
        if found is None or (found.private and self._user != name.split("/")[0]):
            raise RefusalError(404 if self._user else 401, "RepoNotFound", "Repository not found")
        if to_write and self._user != name.split("/")[0]:
            raise RefusalError(403, "", "You don't have the rights to write here")
        return found

    def _commit(self, name: str, revision: str) -> str:
        commit = self._repository(name).commit_of(revision)
        if commit is None:
            raise RefusalError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit

    def whoami(self) -> None:
        if self._user is None:
            raise RefusalError(401, "", "Invalid user token.")
        self._send({"type": "user", "name": self._user, "orgs": [], "auth": {"accessToken": {"role": "write"}}})

    def create(self) -> None:
        asked = json.loads(self.body)
        name = f"{asked.get('organization') or self._user}/{asked['name']}"
        if name.split("/")[0] != self._user:
            raise RefusalError(403, "", "You don't have the rights to create a model under this namespace")
        if name in self.hub.repositories or name in self.hub.data_sets:
            raise RefusalError(409, "", "You already created this repo")
        private = asked.get("private") or asked.get("visibility") == "private"
        self.hub.repositories[name] = Repository(bool(private))
        self._send({"url": f"{self.hub.url}/{name}", "name": name})

    def info(self, name: str, revision: str | None = None) -> None:
        commit = self._commit(name, revision or "main")
        repository = self.hub.repositories[name]
        files = [{"rfilename": one} for one in sorted(repository.commits[commit])]
        self._send(
            {"id": name, "modelId": name, "sha": commit, "private": repository.private, "siblings": files, "tags": []}
        )

    def validate(self) -> None:
        header = json.loads(self.body)["content"].split("---\n")[1]
        licence = yaml.safe_load(header).get("license")
        errors = [] if licence in (None, *_LICENCES) else [{"message": f'"license" must not be {licence}'}]
        self._send({"errors": errors, "warnings": []}, 400 if errors else 200)

    def branch(self, name: str, branch: str) -> None:
        branches = self._repository(name, to_write=True).branches
        if branch in branches:
            raise RefusalError(409, "", "Reference already exists")
        branches[branch] = branches["main"]
        self._send({})

    def preupload(self, name: str, revision: str) -> None:
        self._repository(name, to_write=True)
        self._commit(name, revision)
        modes = {one["path"]: one["path"].endswith(_LFS) for one in json.loads(self.body)["files"]}
        self._send(
            {
                "files": [
                    {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
                    for path, large in modes.items()
                ]
            }
        )

    def batch(self, name: str) -> None:
        self._repository(name, to_write=True)
        objects = [
            {**one, "actions": {"upload": {"href": f"{self.hub.url}/objects/{one['oid']}"}}}
            for one in json.loads(self.body)["objects"]
        ]
        self._send({"transfer": "basic", "objects": objects})

    def store(self, oid: str) -> None:
        assert hashlib.sha256(self.body).hexdigest() == oid
        self.hub.objects[oid] = self.body
        self._send(b"")

    def commit(self, name: str, revision: str) -> None:
        repository = self._repository(name, to_write=True)
        files = dict(repository.commits[self._commit(name, revision)])
        message = ""
        for line in self.body.splitlines():
            entry = json.loads(line)
            kind, value = entry["key"], entry["value"]
            if kind == "header":
                message = value["summary"]
            elif kind == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif kind == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
            elif kind == "deletedFile":
                del files[value["path"]]
        identity = hashlib.sha1(repr((sorted(files.items()), message, len(repository.commits))).encode()).hexdigest()
        repository.commits[identity], repository.messages[identity] = files, message
        repository.branches[revision] = identity
        self._send({"commitUrl": f"{self.hub.url}/{name}/commit/{identity}", "commitOid": identity})

    def resolve(self, name: str, revision: str, file: str) -> None:
        commit = self._commit(name, revision)
        data = self.hub.repositories[name].commits[commit].get(file)
        if data is None:
            raise RefusalError(404, "EntryNotFound", "Entry not found")
        self._send(data, headers={"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha256(data).hexdigest()}"'})


_NAME = r"([\w.-]+/[\w.-]+)"
_ROUTES: list[tuple[str, str, Callable[..., None]]] = [
    ("GET", r"/api/whoami-v2", _Handler.whoami),
    ("POST", r"/api/repos/create", _Handler.create),
    ("POST", r"/api/validate-yaml", _Handler.validate),
    ("POST", rf"/api/models/{_NAME}/branch/(.+)", _Handler.branch),
    ("POST", rf"/api/models/{_NAME}/preupload/(.+)", _Handler.preupload),
    ("POST", rf"/api/models/{_NAME}/commit/(.+)", _Handler.commit),
    ("GET", rf"/api/models/{_NAME}", _Handler.info),
    ("GET", rf"/api/models/{_NAME}/revision/(.+)", _Handler.info),
    ("POST", rf"/{_NAME}\.git/info/lfs/objects/batch", _Handler.batch),
    ("PUT", r"/objects/([0-9a-f]{64})", _Handler.store),
    ("GET HEAD", rf"/{_NAME}/resolve/([^/]+)/(.+)", _Handler.resolve),
]


@contextmanager
def serving() -> Iterator[Hub]:
    """Serve an empty Hub on a free port of this machine; `hub.stop()` stops it earlier."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def stop() -> None:
        hub.is_stopped = True
        server.shutdown()
        thread.join()
        server.server_close()

    hub.stop = stop
    yield hub
    if thread.is_alive():
        stop()
