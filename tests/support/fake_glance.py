"""A WSGI application that takes images as Glance does, and a backend whose plugin refuses images with EVIL in them."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from douane.bills.kept import InventoryRecord
from douane.declared import DeclaredImage
from douane.engine import DouaneError, Report, RunEnded
from douane.glance.filter import Filter
from douane.glance.staged.attestation import Attestations
from douane.glance.upload.body import Input
from douane.plan.binding import Sender
from douane.report import Bytes, Proposed

ID = "3c0a5d8e-7f5b-4a6e-9a86-0b7c5d1a2f10"
PATH = f"/v2/images/{ID}"

BodyReader = Callable[[dict[str, Any]], bytes]
"""How an application reads a body: all of its bytes."""


def read_to_end(environ: dict[str, Any], size: int = 65536) -> bytes:
    """As Glance's file store reads a body with a visible end (webob gives it an empty body if there is none)."""
    if not (int(environ.get("CONTENT_LENGTH") or 0) or environ.get("wsgi.input_terminated")):
        return b""
    return b"".join(iter(lambda: environ["wsgi.input"].read(size), b""))


def read_announced(environ: dict[str, Any], size: int = 65536) -> bytes:
    """As webob.request.LimitedLengthFile reads: the announced length and no more; a short read is a client that is
    gone."""
    remaining = int(environ.get("CONTENT_LENGTH") or environ["HTTP_X_OPENSTACK_IMAGE_SIZE"])
    parts = []
    while remaining:
        limit = min(size, remaining)
        part = environ["wsgi.input"].read(limit)
        remaining -= len(part)
        if len(part) < limit and remaining:
            raise OSError("the client disconnected")
        parts.append(part)
    return b"".join(parts)


class FakeGlance:
    """Glance with one image: `image` as the API shows it, and `data`. `requests` are all that arrived."""

    def __init__(self, read: BodyReader = read_to_end, **properties: Any) -> None:
        self.read = read
        self.image: dict[str, Any] | None = {
            "id": ID, "name": "an image", "status": "queued", "disk_format": "raw", "container_format": "bare",
            "owner": "its owner", "size": None, "tags": [], "visibility": "private", "locations": [], **properties,
        }  # fmt: skip
        self.data: bytes | None = None
        self.requests: list[tuple[str, str]] = []
        self.patches: list[dict[str, Any]] = []
        self.early_status: str | None = None
        """A status for uploads, before their body is read."""
        self.patch_status: str = "200 OK"
        self.refused_property = ""
        """The name of a property that cannot be added."""
        self.swallows_errors = False
        """Whether every upload is answered with 204."""

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
        if self.early_status is not None:
            return self.early_status, b"before it reads"
        try:
            self.data = self.read(environ)
        except Exception:
            return ("204 No Content", b"") if self.swallows_errors else ("500 Internal Server Error", b"")
        return "204 No Content", b""

    def _patch(self, environ: dict[str, Any]) -> tuple[str, bytes]:
        if self.patch_status != "200 OK":
            return self.patch_status, b"no"
        assert self.image is not None
        changes = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        if any(change["path"] == f"/{self.refused_property}" and change["op"] == "add" for change in changes):
            return "403 Forbidden", b"the property is protected"
        for change in changes:
            self.patches.append(change)
            name = change["path"][1:].replace("~1", "/").replace("~0", "~")
            assert (change["op"] == "add") == (name not in self.image)
            if change["op"] == "remove":
                del self.image[name]
            else:
                self.image[name] = change["value"]
        return "200 OK", b"{}"


class Script:
    """What a :class:`FakeBackend` does with an image."""

    def __init__(self) -> None:
        self.error: DouaneError | None = None
        """Raised when an inspection begins."""
        self.final_error: DouaneError | None = None
        """Raised at the end of an image without EVIL, instead of a report."""
        self.bill_error: DouaneError | None = None
        """Raised instead of a bill of materials."""
        self.report: dict[str, Any] = {}
        """Fields of the report of an image without EVIL."""
        self.refusal: dict[str, Any] = {"code": "evil", "message": "there is evil in it"}
        self.inspections: list[FakeInspection] = []
        self.senders: list[Sender] = []


class FakeInspection:
    """An inspection without an engine. EARLY in the image refuses it at once, EVIL at its end."""

    plan_digest = "d" * 64

    def __init__(self, script: Script, declared: DeclaredImage, size: int | None) -> None:
        self.declared, self.size = declared, size
        self.data = bytearray()
        self.is_finished = False
        self.abort_reason: str | None = None
        self._script = script
        script.inspections.append(self)

    def write(self, data: bytes) -> None:
        assert self.abort_reason is None
        assert data
        self.data += data
        if b"EARLY" in self.data[-len(data) - 4 :]:
            raise RunEnded

    def finish(self) -> Report:
        self.is_finished = True
        return self.result()

    def result(self) -> Report:
        is_refused = b"EVIL" in self.data or b"EARLY" in self.data
        if self._script.final_error is not None and not is_refused:
            raise self._script.final_error
        size = Bytes(size=len(self.data), complete=True, sha256="0" * 64)
        fields = {
            "outcome": "refused" if is_refused else "accepted",
            "verdicts": [],
            "received": size,
            "stored": size,
            "sandbox": "off",
            "seconds": 0.0,
        }
        return Report(**{**fields, **(self._script.refusal if is_refused else self._script.report)})

    def abort(self, reason: str) -> None:
        self.abort_reason = reason


class FakeBackend:
    """Follows a script."""

    plugins = frozenset({"format", "evil"})

    def __init__(self, script: Script) -> None:
        self._script = script

    def begin(
        self, declared: DeclaredImage, size: int | None, name: str, sender: Sender, image_id: str | None = None
    ) -> FakeInspection:
        self._script.senders.append(sender)
        if self._script.error is not None:
            raise self._script.error
        return FakeInspection(self._script, declared, size)

    def write_bill(self, record: InventoryRecord, fd: int) -> None:
        os.write(fd, f"the bill of {record.sha256[:4]}".encode())
        if self._script.bill_error is not None:
            raise self._script.bill_error


def proposals(**values: Any) -> dict[str, Proposed]:
    """Properties as the report of the plugin `evil` has them."""
    return {name: Proposed(value, "evil") for name, value in values.items()}


class Reply:
    """The response that the client gets."""

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
) -> Reply:
    """Send one request, as a server does; Content-Length is that of a body in bytes, unless `headers` say otherwise."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": query,
        "CONTENT_TYPE": "application/octet-stream", "HTTP_X_ROLES": "member, reader",
        "wsgi.input": io.BytesIO(body) if isinstance(body, bytes) else body,
    }  # fmt: skip
    if isinstance(body, bytes) and "HTTP_TRANSFER_ENCODING" not in headers:
        environ["CONTENT_LENGTH"] = str(len(body))
    environ |= headers
    environ = {key: value for key, value in environ.items() if value is not None}
    responses: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]]) -> None:
        responses.append((status, headers))

    parts = b"".join(app(environ, start_response))
    return Reply(*responses[0], parts)


def filtered(app: Any, script: Script, attestations: Attestations | None = None, *, properties: bool = True) -> Filter:
    """The filter before `app`, without a guard for imports."""
    return Filter(app, FakeBackend(script), attestations, properties=properties)


class Pieces:
    """A body that arrives in pieces of these lengths, and may end in an error."""

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
