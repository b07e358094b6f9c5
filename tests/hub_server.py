"""A hub on 127.0.0.1: the routes that huggingface_hub calls, over real HTTP, with the faults that networks have.

Large files are answered by a redirect to another origin, as the hub refers to its own stores.
"""

import hashlib
import json
import re
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from huggingface_hub import constants

CHUNK = 64 * 1024


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@dataclass
class Hosted:
    """A repository.

    Attributes:
        folder: its files.
        token: what opens it, if it is gated.
        claimed: sizes of files that are others than they have.
    """

    folder: Path
    token: str | None = None
    claimed: dict[str, int] = field(default_factory=dict)

    @property
    def commit(self) -> str:
        """Of the branch ``main``, and of the tag ``v1``."""
        return hashlib.sha1(str(self.folder).encode(), usedforsecurity=False).hexdigest()

    def files(self) -> dict[str, Path]:
        found = (file for file in self.folder.rglob("*") if file.is_file())
        return {file.relative_to(self.folder).as_posix(): file for file in sorted(found)}


@dataclass
class Hub:
    """The server's state, which a test reads and changes.

    Attributes:
        url: of it.
        repositories: by their ids.
        fetched: repository and name of each file whose content was asked for, with the range if there was one.
        stored: each request to the stores: its range and its token.
        breaks: bytes after which the next answers of the stores break off.
        refuses: how many of the next requests to the stores are answered 503.
        knows_ranges: whether the stores do.
        pause_s: between two chunks.
        damaged: SHA-256 of files that arrive with another byte.
    """

    url: str = ""
    stores: str = ""
    repositories: dict[str, Hosted] = field(default_factory=dict)
    fetched: list[tuple[str, str]] = field(default_factory=list)
    stored: list[tuple[str | None, str | None]] = field(default_factory=list)
    breaks: list[int] = field(default_factory=list)
    refuses: int = 0
    knows_ranges: bool = True
    pause_s: float = 0.0
    damaged: set[str] = field(default_factory=set)

    def names(self) -> list[str]:
        """Names of the files whose content was asked for."""
        return [name for _, name in self.fetched]


class _Answer(BaseHTTPRequestHandler, ABC):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.respond()

    def do_GET(self) -> None:
        self.respond()

    @abstractmethod
    def respond(self) -> None: ...

    def send(self, status: int, body: bytes = b"", **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Hub(_Answer):
    """The hub itself."""

    def respond(self) -> None:
        path = urlsplit(self.path)
        api = re.fullmatch(r"/api/models/([^/]+/[^/]+?)(?:/(revision|tree)/([^/]+))?", path.path)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path.path)
        found = api or file
        if found is None or found[1] not in self.hub.repositories:
            return self.send(404, X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")
        hosted = self.hub.repositories[found[1]]
        revision = (api[3] if api else found[2]) or "main"
        if revision not in ("main", "v1", hosted.commit):
            return self.send(
                404, X_Error_Code="RevisionNotFound", X_Error_Message=f"Invalid rev id: {revision}"
            )
        if api:
            content = (
                _tree(hosted)
                if api[2] == "tree"
                else _info(found[1], hosted, "blobs" in parse_qs(path.query))
            )
            return self.send(200, json.dumps(content).encode(), Content_Type="application/json")
        self.resolve(found[1], hosted, found[3])

    def resolve(self, name: str, hosted: Hosted, wanted: str) -> None:
        token = self.headers.get("Authorization")
        if hosted.token is not None and token != f"Bearer {hosted.token}":
            return self.send(
                403 if token else 401, X_Error_Code="GatedRepo", X_Error_Message="Access is restricted"
            )
        file = hosted.files().get(wanted)
        if file is None:
            return self.send(404, X_Error_Code="EntryNotFound", X_Error_Message="Entry not found")
        if self.command == "GET":
            self.hub.fetched.append((self.headers.get("Range", ""), wanted))
        content = file.read_bytes()
        if not _is_large(file):
            return self.send(200, content, ETag=f'"{git_id(content)}"', X_Repo_Commit=hosted.commit)
        digest = sha256(content)
        self.send(
            302,
            Location=f"{self.hub.stores}/{digest}?at={file}",
            ETag=f'"{git_id(content)}"',
            X_Linked_ETag=f'"{digest}"',
            X_Linked_Size=len(content),
            X_Repo_Commit=hosted.commit,
        )


class _Stores(_Answer):
    """Where the hub keeps large files."""

    def respond(self) -> None:
        hub, path = self.hub, urlsplit(self.path)
        content = Path(parse_qs(path.query)["at"][0]).read_bytes()
        asked = self.headers.get("Range")
        hub.stored.append((asked, self.headers.get("Authorization")))
        if hub.refuses:
            hub.refuses -= 1
            return self.send(503)
        if path.path.strip("/") in hub.damaged:
            content = content[:-1] + bytes([content[-1] ^ 1])
        begin, end, status = 0, len(content), 200
        if asked and hub.knows_ranges:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            begin, end, status = int(first), min(int(last) + 1 if last else end, end), 206
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(content)}")
        self.send_header("Content-Length", str(end - begin))
        self.end_headers()
        is_whole = end == len(content)  # a few rows or a header never break
        self.pour(content[begin:end], hub.breaks.pop(0) if hub.breaks and is_whole else None)

    def pour(self, content: bytes, breaks_after: int | None) -> None:
        for begin in range(0, len(content), CHUNK):
            if breaks_after is not None and begin >= breaks_after:
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            try:
                self.wfile.write(content[begin : begin + CHUNK])
            except OSError:
                return  # who asked has gone
            if self.hub.pause_s:
                time.sleep(self.hub.pause_s)


def _is_large(file: Path) -> bool:
    return file.suffix in {".safetensors", ".bin", ".ckpt"}


def _info(name: str, hosted: Hosted, with_blobs: bool) -> dict[str, Any]:
    siblings: list[dict[str, Any]] = []
    for each, file in hosted.files().items():
        sibling: dict[str, Any] = {"rfilename": each}
        if with_blobs:
            content = file.read_bytes()
            size = hosted.claimed.get(each, len(content))
            sibling |= {"size": size, "blobId": git_id(content)}
            if _is_large(file):
                sibling["lfs"] = {"size": size, "sha256": sha256(content), "pointerSize": 130}
        siblings.append(sibling)
    return {"id": name, "sha": hosted.commit, "siblings": siblings}


def _tree(hosted: Hosted) -> list[dict[str, Any]]:
    tree: list[dict[str, Any]] = []
    for name, file in hosted.files().items():
        content = file.read_bytes()
        entry: dict[str, Any] = {"type": "file", "path": name, "size": len(content), "oid": git_id(content)}
        if _is_large(file):
            entry["lfs"] = {"oid": sha256(content), "size": len(content), "pointerSize": 130}
        tree.append(entry)
    return tree


@contextmanager
def hub_server() -> Iterator[Hub]:
    """A running hub without any repository."""
    hub = Hub()
    servers = []
    for kind in (_Hub, _Stores):
        handler: Any = type("Handler", (kind,), {"hub": hub})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
    hub.url, hub.stores = (f"http://127.0.0.1:{server.server_port}" for server in servers)
    try:
        yield hub
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


@contextmanager
def hub_of_this_process(patch: pytest.MonkeyPatch, cache: Path) -> Iterator[Hub]:
    """A running hub that huggingface_hub calls in this process, with a cache of its own and without a token."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        patch.delenv(name, raising=False)
    with hub_server() as hub:
        patch.setattr(constants, "ENDPOINT", hub.url)
        template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setattr(constants, "HF_HUB_CACHE", str(cache))
        patch.setattr(constants, "HF_TOKEN_PATH", str(cache / "token"))
        yield hub
