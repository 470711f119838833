"""A server that speaks as much S3 as an upload needs, keeps small objects and discards large ones: it costs little, and
nothing of what is measured. ``python -m bench.machines.discarding_s3`` prints its port."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs, unquote, urlsplit

KEPT_BYTES = 1 << 16
READ_BYTES = 1 << 20
ETAG = '"d41d8cd98f00b204e9800998ecf8427e"'

_objects: dict[str, bytes] = {}


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _ = head[0].split(" ", 2)
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            if "100-continue" in headers.get("expect", ""):
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = await _read(reader, int(headers.get("content-length", 0)))
            status, answer = _answer(method, target, headers, body)
            writer.write(
                f"HTTP/1.1 {status} X\r\nContent-Length: {len(answer)}\r\nETag: {ETAG}\r\n"
                "Last-Modified: Mon, 30 Nov 2026 00:00:00 GMT\r\nContent-Type: application/xml\r\n\r\n".encode()
                + answer
            )
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _read(reader: asyncio.StreamReader, length: int) -> bytes:
    if length <= KEPT_BYTES:
        return await reader.readexactly(length)
    while length:
        length -= len(await reader.read(min(length, READ_BYTES)))
    return b""


def _answer(method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
    parts = urlsplit(target)
    path, query = unquote(parts.path), parse_qs(parts.query, keep_blank_values=True)
    if method == "POST" and "uploads" in query:
        return 200, b"<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>"
    if method == "POST" and "delete" in query:
        return 200, b"<DeleteResult></DeleteResult>"
    if method == "POST":
        return 200, f"<CompleteMultipartUploadResult><ETag>{ETAG}</ETag></CompleteMultipartUploadResult>".encode()
    if method == "GET" and "list-type" in query:
        return 200, b"<ListBucketResult><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>"
    if method == "PUT" and "uploadId" not in query:
        if "if-none-match" in headers and path in _objects:
            return 412, b"<Error><Code>PreconditionFailed</Code></Error>"
        _objects[path] = body
    if method == "GET":
        content = _objects.get(path)
        return (404, b"<Error><Code>NoSuchKey</Code></Error>") if content is None else (200, content)
    return 200, b""


async def _main() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, limit=READ_BYTES)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main())
