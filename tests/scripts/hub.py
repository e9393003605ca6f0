"""A Hub on this machine, for tests: enough of its web interface to publish repositories and load them again.

    with LocalHub() as hub:
        subprocess.run(command, env=os.environ | hub.environment(tmp_path))
        assert "model.safetensors" in hub.files("models/me/name")

`huggingface_hub` reads HF_ENDPOINT when it is imported, so it must be set for a process of its own. Weights
and Parquet files take the large-file route (LFS), as on the real Hub; everything else comes in the commit.
"""

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

LARGE = (".safetensors", ".parquet", ".bin", ".model")
USER = "tester"


@dataclass
class Repository:
    """Files by path, and a revision that every commit changes."""

    files: dict[str, bytes] = field(default_factory=dict)
    commits: int = 0

    @property
    def revision(self) -> str:
        return f"{self.commits:040x}"


class LocalHub(ThreadingHTTPServer):
    """Serves `repositories`, keyed like "models/owner/name" or "datasets/owner/name"."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, Repository] = {}
        self.large_files: dict[str, bytes] = {}  # by SHA-256
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.lock = threading.Lock()

    def __enter__(self) -> "LocalHub":
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: Any) -> None:
        self.shutdown()
        self.server_close()

    def environment(self, home: Path) -> dict[str, str]:
        """What makes a process use this Hub, with its caches in `home`."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0",
            "HF_TOKEN": "hf_of_a_test",
        }

    def files(self, repository: str) -> dict[str, bytes]:
        return self.repositories[repository].files


class _Handler(BaseHTTPRequestHandler):
    """One request. `ROUTES` names the method that answers; what isn't there is 404, as on the Hub."""

    protocol_version = "HTTP/1.1"
    server: LocalHub  # pyright: ignore[reportIncompatibleVariableOverride]

    def log_message(self, format: str, *args: Any) -> None:
        pass  # silence

    def route(self) -> None:
        address = urlparse(self.path)
        self.query = parse_qs(address.query)
        self.body = self._read()
        with self.server.lock:
            for pattern, answer in ROUTES:
                found = re.fullmatch(pattern, unquote(address.path))
                if found:
                    return answer(self, **found.groupdict())
        self._missing("EntryNotFound")

    do_GET = do_HEAD = do_POST = do_PUT = route

    # Publishing

    def whoami(self) -> None:
        token = {"type": "access_token", "accessToken": {"role": "write", "displayName": "test"}}
        self._json({"name": USER, "type": "user", "orgs": [], "auth": token})

    def validate(self) -> None:
        self._json({"errors": [], "warnings": []})

    def create(self) -> None:
        wanted = json.loads(self.body)
        name = f"{wanted.get('organization') or USER}/{wanted['name']}"
        kind = wanted.get("type", "model") + "s"
        url = f"{self.server.url}/{name if kind == 'models' else f'{kind}/{name}'}"
        there = f"{kind}/{name}" in self.server.repositories
        if not there:
            self.server.repositories[f"{kind}/{name}"] = Repository()
        self._json({"url": url, "name": name, "id": name}, status=409 if there else 200)

    def preupload(self, repository: str) -> None:
        def plan(path: str) -> dict[str, Any]:
            return {
                "path": path,
                "uploadMode": "lfs" if path.endswith(LARGE) else "regular",
                "shouldIgnore": False,
            }

        self._json({"files": [plan(file["path"]) for file in json.loads(self.body)["files"]]})

    def large_file_batch(self) -> None:
        def upload(wanted: dict[str, Any]) -> dict[str, Any]:
            href = f"{self.server.url}/large/{wanted['oid']}"
            return wanted | {"actions": {"upload": {"href": href}}}

        objects = [upload(wanted) for wanted in json.loads(self.body)["objects"]]
        self._json({"transfer": "basic", "objects": objects}, kind="application/vnd.git-lfs+json")

    def large_file(self, oid: str) -> None:
        assert hashlib.sha256(self.body).hexdigest() == oid
        self.server.large_files[oid] = self.body
        self._json({})

    def commit(self, repository: str) -> None:
        repo = self.server.repositories[repository]
        for line in self.body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                repo.files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                repo.files[value["path"]] = self.server.large_files[value["oid"]]
            elif entry["key"] == "deletedFile":
                repo.files.pop(value["path"], None)
        repo.commits += 1
        url = f"{self.server.url}/{repository.removeprefix('models/')}/commit/{repo.revision}"
        self._json({"success": True, "commitUrl": url, "commitOid": repo.revision, "hookOutput": ""})

    # Loading

    def info(self, repository: str) -> None:
        repo = self.server.repositories.get(repository)
        if repo is None:
            return self._missing("RepoNotFound")
        name = repository.split("/", 1)[1]
        siblings = [{"rfilename": path} for path in sorted(repo.files)]
        told = {"id": name, "sha": repo.revision, "private": False, "gated": False, "disabled": False}
        self._json(told | {"downloads": 0, "likes": 0, "tags": [], "siblings": siblings})

    def tree(self, repository: str, folder: str | None = None) -> None:
        repo = self.server.repositories.get(repository)
        if repo is None:
            return self._missing("RepoNotFound")
        start = f"{folder}/" if folder else ""
        deep = self.query.get("recursive", ["false"])[0].lower() in ("true", "1")
        entries: dict[str, dict[str, Any]] = {}
        for path, content in sorted(repo.files.items()):
            if not path.startswith(start):
                continue
            parts = path.removeprefix(start).split("/")
            for depth in range(1, len(parts) if deep else min(len(parts), 2)):
                parent = start + "/".join(parts[:depth])
                entries[parent] = {"type": "directory", "path": parent, "oid": "0" * 40, "size": 0}
            if deep or len(parts) == 1:
                entries[path] = self._entry(path, content)
        if start and not entries:
            return self._missing("EntryNotFound")
        self._json(list(entries.values()))

    def paths_info(self, repository: str) -> None:
        files = self.server.files(repository)
        as_json = self.headers.get("Content-Type", "").startswith("application/json")
        paths = json.loads(self.body)["paths"] if as_json else parse_qs(self.body.decode()).get("paths", [])
        self._json([self._entry(path, files[path]) for path in paths if path in files])

    def resolve(self, path: str, name: str, kind: str | None = None) -> None:
        repo = self.server.repositories.get(f"{kind or 'models'}/{name}")
        if repo is None:
            return self._missing("RepoNotFound")
        if path not in repo.files:
            return self._missing("EntryNotFound", revision=repo.revision)
        content = repo.files[path]
        headers = {"ETag": f'"{_git_id(content)}"', "X-Repo-Commit": repo.revision}
        self._send(content, headers=headers, kind="application/octet-stream")

    # Sending

    @staticmethod
    def _entry(path: str, content: bytes) -> dict[str, Any]:
        return {"type": "file", "path": path, "oid": _git_id(content), "size": len(content)}

    def _read(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _missing(self, code: str, revision: str | None = None) -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": code}
        self._json({"error": code}, 404, headers | ({"X-Repo-Commit": revision} if revision else {}))

    def _json(
        self,
        answer: Any,
        status: int = 200,
        headers: dict[str, str] | None = None,
        kind: str = "application/json",
    ) -> None:
        self._send(json.dumps(answer).encode(), status, headers, kind)

    def _send(
        self,
        content: bytes,
        status: int = 200,
        headers: dict[str, str] | None = None,
        kind: str = "application/json",
    ) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": kind, "Content-Length": str(len(content))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _git_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


_NAME = r"[^/]+/[^/]+"
_REPOSITORY = rf"/api/(?P<repository>(?:models|datasets|spaces)/{_NAME})"
ROUTES = [
    (r"/api/whoami-v2", _Handler.whoami),
    (r"/api/validate-yaml", _Handler.validate),
    (r"/api/repos/create", _Handler.create),
    (rf"{_REPOSITORY}/preupload/[^/]+", _Handler.preupload),
    (r"/.+\.git/info/lfs/objects/batch", _Handler.large_file_batch),
    (r"/large/(?P<oid>\w+)", _Handler.large_file),
    (rf"{_REPOSITORY}/commit/[^/]+", _Handler.commit),
    (rf"{_REPOSITORY}(?:/revision/[^/]+)?", _Handler.info),
    (rf"{_REPOSITORY}/tree/[^/]+(?:/(?P<folder>.+))?", _Handler.tree),
    (rf"{_REPOSITORY}/paths-info/[^/]+", _Handler.paths_info),
    (rf"/(?:(?P<kind>datasets|spaces)/)?(?P<name>{_NAME})/resolve/[^/]+/(?P<path>.+)", _Handler.resolve),
]
