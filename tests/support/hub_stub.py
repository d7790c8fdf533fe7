"""A server on localhost that speaks as much of the protocol of the Hugging Face Hub as Joule uses."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_the_test"
BRANCH = "main"


class HubStub:
    """Repositories in memory: name -> branch -> file -> content. Large files go the way of Git LFS."""

    def __init__(self) -> None:
        self.endpoint = ""
        self.clear()

    def clear(self) -> None:
        """Forgets everything but its address."""
        self.repos: dict[str, dict[str, dict[str, bytes]]] = {}
        self.private: set[str] = set()
        self.read_only = False
        self.announced: dict[str, int] = {}
        """Sizes that a listing gives in place of the true ones, by file."""
        self.requests: list[str] = []
        self.objects: dict[str, bytes] = {}
        """What was uploaded by its SHA-256."""

    def commit(self, repo: str, branch: str) -> str:
        """The id of the newest commit of a branch, which follows from its files."""
        files = self.repos[repo][branch]
        text = json.dumps({name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())})
        return hashlib.sha1(text.encode()).hexdigest()

    def files(self, repo: str, revision: str) -> dict[str, bytes] | None:
        """The files of a branch or of its commit; None for another revision."""
        branches = self.repos[repo]
        found = [name for name in branches if revision in (name, self.commit(repo, name))]
        return branches[found[0]] if found else None


class _Handler(BaseHTTPRequestHandler):
    stub: HubStub

    def log_message(self, format: str, *arguments: Any) -> None:
        """Prints nothing."""

    def answer(self, status: int, value: Any = None, **headers: str) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def refuse(self, status: int, code: str, message: str) -> None:
        self.answer(status, {"error": message}, X_Error_Code=code, X_Error_Message=message)

    @property
    def allowed(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def readable(self, repo: str) -> bool:
        """Whether this request may see a repository; answers it otherwise."""
        if repo in self.stub.repos and (repo not in self.stub.private or self.allowed):
            return True
        self.refuse(404 if self.allowed else 401, "RepoNotFound", "Repository not found")
        return False

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.stub.requests.append(f"{self.command} {path}")
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            self.listing(match[1], match[2] or BRANCH)
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self.resolve(match[1], match[2], match[3])
        else:
            self.refuse(404, "EntryNotFound", f"no {path}")

    do_HEAD = do_GET

    def listing(self, repo: str, revision: str) -> None:
        if not self.readable(repo):
            return
        files = self.stub.files(repo, revision)
        if files is None:
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return
        branch = next(name for name, held in self.stub.repos[repo].items() if held is files)
        sizes = {name: self.stub.announced.get(name, len(data)) for name, data in files.items()}
        siblings = [{"rfilename": name, "size": size, "blobId": "0" * 40} for name, size in sizes.items()]
        private = repo in self.stub.private
        self.answer(
            200,
            {"id": repo, "modelId": repo, "sha": self.stub.commit(repo, branch), "siblings": siblings,
             "private": private, "tags": [], "downloads": 0, "likes": 0},
        )  # fmt: skip

    def resolve(self, repo: str, revision: str, name: str) -> None:
        if not self.readable(repo):
            return
        files = self.stub.files(repo, revision)
        if files is None or name not in files:
            self.refuse(404, "EntryNotFound", f"no {name}")
            return
        digest = hashlib.sha256(files[name]).hexdigest()
        self.answer(200, files[name], ETag=f'"{digest}"', X_Repo_Commit=revision)

    def do_POST(self) -> None:
        path, body = unquote(urlsplit(self.path).path), self.body()
        self.stub.requests.append(f"POST {path}")
        if path == "/api/validate-yaml":
            return self.answer(200, {"errors": [], "warnings": []})
        if not self.allowed:
            return self.refuse(401, "", "Invalid credentials in Authorization header")
        if self.stub.read_only:
            return self.refuse(403, "", "you need write access")
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/branch/(.+)", path):
            repo = self.stub.repos[match[1]]
            repo.setdefault(match[2], dict(repo[BRANCH]))
            return self.answer(200, {})
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/(.+)", path):
            files = [
                {"path": one["path"], "shouldIgnore": False,
                 "uploadMode": "lfs" if one["path"].endswith(".safetensors") else "regular"}
                for one in json.loads(body)["files"]
            ]  # fmt: skip
            return self.answer(200, {"files": files})
        if re.fullmatch(r"/[^/]+/[^/]+\.git/info/lfs/objects/batch", path):
            objects = [
                {**one, "actions": {"upload": {"href": f"{self.stub.endpoint}/objects/{one['oid']}"}}}
                for one in json.loads(body)["objects"]
            ]
            return self.answer(200, {"transfer": "basic", "objects": objects})
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/(.+)", path):
            return self.make_commit(match[1], match[2], body)
        return self.refuse(404, "EntryNotFound", f"no {path}")

    def do_PUT(self) -> None:
        self.stub.objects[self.path.rpartition("/")[2]] = self.body()
        self.answer(200, {})

    def create(self, asked: dict[str, Any]) -> None:
        repo = "/".join(filter(None, (asked.get("organization"), asked["name"])))
        if "/" not in repo:
            repo = f"somebody/{repo}"
        if repo in self.stub.repos:
            return self.answer(409, {"error": "exists", "url": f"{self.stub.endpoint}/{repo}"})
        self.stub.repos[repo] = {BRANCH: {".gitattributes": b"*.safetensors filter=lfs\n"}}
        if asked.get("private") or asked.get("visibility") == "private":
            self.stub.private.add(repo)
        return self.answer(200, {"url": f"{self.stub.endpoint}/{repo}", "name": repo})

    def make_commit(self, repo: str, branch: str, body: bytes) -> None:
        files = self.stub.repos[repo][branch]
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.stub.objects[value["oid"]]
            elif entry["key"] == "deletedFile":
                del files[value["path"]]
        oid = self.stub.commit(repo, branch)
        url = f"{self.stub.endpoint}/{repo}/commit/{oid}"
        self.answer(200, {"success": True, "commitOid": oid, "commitUrl": url})


@contextmanager
def served() -> Iterator[HubStub]:
    """Inside, the server answers at `endpoint`."""
    stub = HubStub()
    handler = type("Handler", (_Handler,), {"stub": stub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    stub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
