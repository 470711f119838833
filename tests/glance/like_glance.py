"""A WSGI application that takes images as Glance does, and a gate whose plugin refuses what has EVIL in it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from douane.declared import DeclaredImage
from douane.engine import DouaneError, Report
from douane.glance.filter import Filter
from douane.glance.staged.attestation import Records
from douane.glance.upload.body import Input, NotAccepted
from douane.report import Bytes, Proposed

ID = "3c0a5d8e-7f5b-4a6e-9a86-0b7c5d1a2f10"
PATH = f"/v2/images/{ID}"

Taking = Callable[[dict[str, Any]], bytes]
"""How an application takes a body: all of its bytes."""


def to_the_end(environ: dict[str, Any], size: int = 65536) -> bytes:
    """As Glance's file store does with a body whose end it can see (webob gives it an empty one where none is told)."""
    if not (int(environ.get("CONTENT_LENGTH") or 0) or environ.get("wsgi.input_terminated")):
        return b""
    return b"".join(iter(lambda: environ["wsgi.input"].read(size), b""))


def announced(environ: dict[str, Any], size: int = 65536) -> bytes:
    """As webob.request.LimitedLengthFile does: the announced length, and then no more; fewer bytes than it asked for
    are a client that is gone."""
    left = int(environ.get("CONTENT_LENGTH") or environ["HTTP_X_OPENSTACK_IMAGE_SIZE"])
    taken = []
    while left:
        wanted = min(size, left)
        part = environ["wsgi.input"].read(wanted)
        left -= len(part)
        if len(part) < wanted and left:
            raise OSError("the client disconnected")
        taken.append(part)
    return b"".join(taken)


class LikeGlance:
    """One image, `image` as the API shows it, and what became of its data. `requests` are all that came."""

    def __init__(self, take: Taking = to_the_end, **more: Any) -> None:
        self.take = take
        self.image: dict[str, Any] | None = {
            "id": ID, "name": "an image", "status": "queued", "disk_format": "raw", "container_format": "bare",
            "owner": "its owner", "size": None, "tags": [], "visibility": "private", "locations": [], **more,
        }  # fmt: skip
        self.data: bytes | None = None
        self.requests: list[tuple[str, str]] = []
        self.patches: list[dict[str, Any]] = []
        self.first: str | None = None
        """A status that it answers uploads with before it reads."""
        self.patched: str = "200 OK"
        self.swallows = False
        """Whether it answers 204 whatever happens."""

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.requests.append((method, path))
        status, body = self._answer(environ, method, path)
        start_response(status, [("Content-Length", str(len(body)))])
        return [body]

    def _answer(self, environ: dict[str, Any], method: str, path: str) -> tuple[str, bytes]:
        if path == PATH and self.image is None:
            return "404 Not Found", b"no such image"
        if path == PATH and method == "GET":
            return "200 OK", json.dumps(self.image).encode()
        if path == PATH and method == "DELETE":
            self.image, self.data = None, None
            return "204 No Content", b""
        if path == PATH and method == "PATCH":
            return self._patch(environ)
        if path not in (PATH + "/file", PATH + "/stage") or method != "PUT":
            return "404 Not Found", b"no such thing"
        if self.first is not None:
            return self.first, b"before it reads"
        try:
            self.data = self.take(environ)
        except Exception:
            return ("204 No Content", b"") if self.swallows else ("500 Internal Server Error", b"")
        return "204 No Content", b""

    def _patch(self, environ: dict[str, Any]) -> tuple[str, bytes]:
        if self.patched != "200 OK":
            return self.patched, b"no"
        assert self.image is not None
        for change in json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))):
            self.patches.append(change)
            name = change["path"][1:].replace("~1", "/").replace("~0", "~")
            assert (change["op"] == "add") == (name not in self.image)
            if change["op"] == "remove":
                del self.image[name]
            else:
                self.image[name] = change["value"]
        return "200 OK", b"{}"


class Script:
    """What the plan of a :class:`ScriptedGate` does with an image; the reports of an engine, without one."""

    def __init__(self) -> None:
        self.error: DouaneError | None = None
        """Raised when an image begins."""
        self.report: dict[str, Any] = {}
        """Fields of the report of an image that is accepted."""
        self.refusal: dict[str, Any] = {"code": "evil", "message": "there is evil in it"}
        self.passages: list[ScriptedPassage] = []


class ScriptedPassage:
    digest = "d" * 64

    def __init__(self, script: Script, declared: DeclaredImage, size: int | None) -> None:
        self.report: Report | None = None
        self.error: DouaneError | None = None
        self.declared, self.size = declared, size
        self.seen = bytearray()
        self.aborted: str | None = None
        self._script = script
        script.passages.append(self)

    def write(self, data: bytes) -> None:
        assert self.aborted is None
        assert data
        self.seen += data
        if b"EARLY" in self.seen[-len(data) - 4 :]:
            self._end("refused")

    def finish(self) -> None:
        self._end("refused" if b"EVIL" in self.seen else "accepted")

    def abort(self, reason: str) -> None:
        self.aborted = reason

    def _end(self, outcome: Any) -> None:
        size = Bytes(size=len(self.seen), complete=True, sha256="0" * 64)
        more = self._script.report if outcome == "accepted" else self._script.refusal
        fields = {
            "outcome": outcome,
            "verdicts": [],
            "received": size,
            "stored": size,
            "sandbox": "off",
            "seconds": 0.0,
        }
        self.report = Report(**{**fields, **more})
        if self.report.outcome != "accepted":
            raise NotAccepted


class ScriptedGate:
    plugins = frozenset({"format", "evil"})

    def __init__(self, script: Script) -> None:
        self._script = script

    def begin(self, declared: DeclaredImage, size: int | None, name: str) -> ScriptedPassage:
        if self._script.error is not None:
            raise self._script.error
        return ScriptedPassage(self._script, declared, size)


def proposed(**values: Any) -> dict[str, Proposed]:
    return {name: Proposed(value, "evil") for name, value in values.items()}


class Answered:
    """What the client gets."""

    def __init__(self, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
        self.code = int(status[:3])
        self.headers = dict(headers)
        self.body = body.decode()


def request(
    app: Callable[..., Iterable[bytes]],
    body: Input | bytes = b"",
    method: str = "PUT",
    path: str = PATH + "/file",
    query: str = "",
    **headers: str | None,
) -> Answered:
    """One request, as a server makes it; Content-Length is the body's if it is bytes and `headers` do not say."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": query,
        "CONTENT_TYPE": "application/octet-stream", "HTTP_X_ROLES": "member, reader",
        "wsgi.input": io.BytesIO(body) if isinstance(body, bytes) else body,
    }  # fmt: skip
    if isinstance(body, bytes) and "HTTP_TRANSFER_ENCODING" not in headers:
        environ["CONTENT_LENGTH"] = str(len(body))
    environ |= headers
    environ = {key: value for key, value in environ.items() if value is not None}
    told: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]]) -> None:
        told.append((status, headers))

    parts = b"".join(app(environ, start_response))
    return Answered(*told[0], parts)


def filtered(app: Any, script: Script, records: Records | None = None, *, properties: bool = True) -> Filter:
    return Filter(app, ScriptedGate(script), records, properties=properties)


class Pieces:
    """A body that comes in pieces of these lengths, whatever is asked for at most, and may end in an error."""

    def __init__(self, pieces: Iterable[bytes], error: BaseException | None = None) -> None:
        self._pieces: Iterator[bytes] = iter(pieces)
        self._error = error
        self._rest = b""

    def read(self, size: int) -> bytes:
        if not self._rest:
            self._rest = next(self._pieces, b"")
        if not self._rest and self._error is not None:
            raise self._error
        part, self._rest = self._rest[:size], self._rest[size:]
        return part
