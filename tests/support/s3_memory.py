"""A small S3 server in this process: objects in memory, and answers that a test bends. Real servers: `s3_server.py`."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from urllib.parse import parse_qs, unquote, urlsplit

from .web_server import Request, reply

Query = dict[str, list[str]]


class S3Memory:
    """The script of a `WebServer`. `objects` has the contents by their paths, which begin with the bucket."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.bend: Callable[[Request, Query], bytes | None] | None = None
        """The content of another answer with the status 200, if there is one."""

    def __call__(self, request: Request, connection: socket.socket) -> None:
        content = request.begin
        while len(content) < int(request.headers.get("content-length", 0)):
            content += connection.recv(1 << 20)
        parts = urlsplit(request.target)
        query = parse_qs(parts.query, keep_blank_values=True)
        bent = None if self.bend is None else self.bend(request, query)
        status, body, headers = self._answer(request, unquote(parts.path), query, content)
        if bent is not None:
            status, body = 200, bent
        send(connection, status, body, **headers)

    def _answer(
        self, request: Request, path: str, query: Query, content: bytes
    ) -> tuple[int, bytes, dict[str, object]]:
        if request.method == "PUT":
            if request.headers.get("if-none-match") == "*" and path in self.objects:
                return 412, b"<Error><Code>PreconditionFailed</Code></Error>", {}
            self.objects[path] = content
            return 200, b"", {}
        if request.method == "POST" and "delete" in query:
            return 200, self._delete(path, content), {}
        if "uploads" in query:
            return 200, b"<ListMultipartUploadsResult/>", {}
        if "list-type" in query:
            return 200, self._list(path, query["prefix"][0]), {}
        found = self.objects.get(path)
        if found is None:
            return 404, b"<Error><Code>NoSuchKey</Code></Error>", {}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("range", ""))
        if wanted is None:
            return 200, found, {}
        part = found[int(wanted[1]) : int(wanted[2]) + 1]
        return 206, part, {"Content_Range": f"bytes {wanted[1]}-{int(wanted[1]) + len(part) - 1}/{len(found)}"}

    def _delete(self, bucket: str, content: bytes) -> bytes:
        keys = re.findall(r"<Key>(.*?)</Key>", content.decode())
        for key in keys:
            self.objects.pop(f"{bucket}/{key}", None)
        deleted = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
        return f"<DeleteResult>{deleted}</DeleteResult>".encode()

    def _list(self, bucket: str, prefix: str) -> bytes:
        keys = sorted(path.removeprefix(f"{bucket}/") for path in self.objects)
        return listing([key for key in keys if key.startswith(prefix)])


def listing(keys: list[str], token: str | None = None) -> bytes:
    """A page of a list; with `token`, more follow."""
    more = "" if token is None else f"<NextContinuationToken>{token}</NextContinuationToken>"
    entries = "".join(
        f"<Contents><Key>{key}</Key><Size>1</Size><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"
        for key in keys
    )
    flag = str(token is not None).lower()
    return f"<ListBucketResult><IsTruncated>{flag}</IsTruncated>{more}{entries}</ListBucketResult>".encode()


def send(connection: socket.socket, status: int, body: bytes, **headers: object) -> None:
    """An answer about an object."""
    reply(
        connection,
        status,
        body,
        ETag='"x"',
        Last_Modified="Thu, 01 Jan 2026 00:00:00 GMT",
        Connection="close",
        **headers,
    )
