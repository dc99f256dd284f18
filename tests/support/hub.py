"""A Hugging Face hub of one process: the routes that huggingface_hub asks for models, in memory.

    with serving() as hub:                # HF_ENDPOINT=hub.address
        hub.commit("owner/name", {"config.json": b"..."})
        hub.repositories["owner/name"]    # the commits, each a mapping of files

What `huggingface_hub` 1 and 2 send was read from its source. Files go up with the commit, as small
ones do at the true hub; Xet and LFS are not here.
"""

import base64
import hashlib
import json
import re
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REPOSITORY = r"/(?:api/models/)?([\w.-]+/[\w.-]+)"


class Hub:
    """Repositories, what was asked, and how it fails.

    Attributes:
        address: where it listens.
        repositories: by name, their commits, the oldest first: files by name.
        tags: of a repository, the number of a commit by name.
        sizes: what is said of the size of a file, by name, where it is not the truth.
        asked: methods and paths.
        ranges: what was asked of a part of a file.
        broken: files of which the next download ends in the middle.
        refused: files that are answered with 500.
    """

    def __init__(self) -> None:
        self.address = ""
        self.repositories: dict[str, list[dict[str, bytes]]] = {}
        self.tags: dict[str, dict[str, int]] = {}
        self.sizes: dict[str, int] = {}
        self.asked: list[tuple[str, str]] = []
        self.ranges: list[str] = []
        self.broken: set[str] = set()
        self.refused: set[str] = set()

    def commit(self, name: str, files: dict[str, bytes]) -> None:
        """Add a commit that has these files alone."""
        self.repositories.setdefault(name, []).append(files)

    def downloads(self) -> list[str]:
        """The files that were downloaded, by name."""
        return [
            path.split("/resolve/")[1].split("/", 1)[1]
            for verb, path in self.asked
            if verb == "GET" and "/resolve/" in path
        ]

    def find(self, name: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """The hash and the files of a revision."""
        commits = self.repositories[name]
        hashes = [_hash(f"{name} {n}".encode()) for n in range(len(commits))]
        known = dict(zip(hashes, range(len(commits)), strict=True)) | self.tags.get(name, {})
        if commits:
            known["main"] = len(commits) - 1
        return (hashes[known[revision]], commits[known[revision]]) if revision in known else None


def _hash(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


@contextmanager
def serving() -> Iterator[Hub]:
    """Run a hub for as long as the block lasts."""
    hub = Hub()

    class Handler(_Handler):
        pass

    Handler.hub = hub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._asked()

    def do_HEAD(self) -> None:
        self._asked()

    def do_POST(self) -> None:
        self._asked()

    def _asked(self) -> None:
        address = urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(address.path)
        self.hub.asked.append((self.command, path))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = "/".join(part for part in (asked.get("organization"), asked["name"]) if part)
            new = name not in self.hub.repositories
            self.hub.repositories.setdefault(name, [])
            self._json({"url": f"{self.hub.address}/{name}"}, 200 if new else 409)
            return
        if path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
            return
        match = re.fullmatch(rf"{REPOSITORY}(?:/(\w+)/([^/]+)(?:/(.+))?)?", path)
        if match is None or match[1] not in self.hub.repositories:
            self._error(401, "RepoNotFound", "Repository not found")
            return
        name, action, revision, file = match[1], match[2], match[3] or "main", match[4]
        if action == "preupload":
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                for f in json.loads(body)["files"]
            ]
            self._json({"files": files})
            return
        if action == "commit":
            self._commit(name, body)
            return
        found = self.hub.find(name, revision)
        if found is None and self.hub.repositories[name]:
            self._error(404, "RevisionNotFound", "Invalid rev id")
            return
        commit, content = found or (_hash(name.encode()), {})
        if action == "resolve":
            self._file(commit, file, content)
        elif action == "tree":
            self._json(
                [
                    {
                        "type": "file",
                        "path": path,
                        "size": self._size(path, data),
                        "oid": _hash(data),
                    }
                    for path, data in content.items()
                ]
            )
        else:
            siblings = [
                {"rfilename": path, "size": self._size(path, data), "blobId": _hash(data)}
                for path, data in content.items()
            ]
            self._json(
                {
                    "id": name,
                    "sha": commit,
                    "siblings": siblings,
                    "private": False,
                    "tags": [],
                    "downloads": 0,
                    "likes": 0,
                }
            )

    def _size(self, path: str, data: bytes) -> int:
        return self.hub.sizes.get(path, len(data))

    def _commit(self, name: str, body: bytes) -> None:
        before = self.hub.repositories[name]
        files = dict(before[-1]) if before else {}
        for line in body.splitlines():
            change = json.loads(line)
            value = change["value"]
            if change["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif change["key"] == "deletedFile":
                del files[value["path"]]
        self.hub.commit(name, files)
        commit, _ = self.hub.find(name, "main") or ("", {})
        self._json(
            {
                "commitUrl": f"{self.hub.address}/{name}/commit/{commit}",
                "commitOid": commit,
                "hookOutput": "",
                "success": True,
            }
        )

    def _file(self, commit: str, file: str, content: dict[str, bytes]) -> None:
        if file not in content:
            self._error(404, "EntryNotFound", "Entry not found")
            return
        data, asked = content[file], self.headers.get("Range")
        if self.command == "GET" and file in self.hub.refused:
            self._error(500, "", "Internal error")
            return
        start = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
        self.hub.ranges += [f"{file} {asked}"] if asked else []
        self.send_response(206 if asked else 200)
        self.send_header("ETag", f'"{_hash(data)}"')
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Accept-Ranges", "bytes")
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if self.command == "HEAD":
            return
        if file in self.hub.broken:
            self.hub.broken.discard(file)
            self.wfile.write(data[start : start + len(data) // 2])
            self.close_connection = True
            return
        self.wfile.write(data[start:])

    def _json(self, value: object, code: int = 200) -> None:
        self._send(code, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _error(self, code: int, kind: str, message: str) -> None:
        self._send(code, b"", {"X-Error-Code": kind, "X-Error-Message": message})

    def _send(self, code: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
