"""A recorded plugin in a plan of today: the real engine, real cages, and what the report says of it."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from douane import sandbox
from douane.declared import DeclaredImage
from douane.engine import PlanError, RunOptions, inspect_image, open_source
from douane.plan.parse import parse_plan
from support.contract.conversation import NAME, PLUGINS, image
from support.sinks import KeptFile


def examine(
    header: dict[str, Any],
    place: Path,
    tier: sandbox.Tier,
    *,
    use: str | None = None,
    base: str = str(PLUGINS),
    python: Path | None = None,
    log: list[Any] | None = None,
) -> tuple[dict[str, Any], bytes]:
    """Let the image of `header` past its plugin: the verdict, without what is not promised, and the bytes stored."""
    table = {"name": NAME, "use": use or header["plugin"], **header.get("plan", {})}
    if python is not None:
        table["python"] = str(python)
    folder = "" if base else "level1/plugins"
    earlier = [
        {"name": f"before-{n}", "use": os.path.join(folder, each)} for n, each in enumerate(header.get("before", []))
    ]
    with granted(header, place) as grants:
        plan = parse_plan({"plugin": [*earlier, {**table, "grants": grants}]}, where="the plan", base=base)
        if header.get("texts"):
            last = plan.plugins[-1].__class__(**{**_fields(plan.plugins[-1]), "texts": header["texts"]})
            plan = plan.__class__(**{**_fields(plan), "plugins": (*plan.plugins[:-1], last)})
        _write(place / "image", header["image"])
        sink = KeptFile(place / "kept")
        try:
            report = inspect_image(
                plan,
                DeclaredImage.from_json(header.get("declared", {})),
                open_source(str(place / "image")),
                sink,
                RunOptions(tier=tier, emit=lambda *line: log.append(line) if log is not None else None),
            )
        except PlanError as error:
            if log is not None:
                log.append(("report", 0, str(error)))
            return {"unusable": NAME in str(error)}, b""
        finally:
            sink.close()
    verdict = next(each for each in report.verdicts if each.plugin == NAME)
    decided = verdict.outcome in ("refused", "incomplete", "deferred")
    assert verdict.ran is not None
    answer = {
        "outcome": report.outcome,
        "plugin": verdict.outcome,
        "code": verdict.code,
        "message": verdict.message if decided else None,
        "retry_after": verdict.retry_after,
        "warnings": [[warned.code, warned.message] for warned in verdict.warnings],
        "properties": verdict.properties,
        "proposed": verdict.proposed,
        "documents": verdict.documents,
        "is": [verdict.ran.kind, verdict.ran.reads, verdict.ran.api],
    }
    if log is not None:
        log.append(("report", 0, str(report.to_json())))
    return answer, sink.path.read_bytes() if sink.size is not None else b""


def _write(path: Path, pieces: list[dict[str, Any]]) -> None:
    """The image as a file, with a hole where it has zeros."""
    with path.open("wb") as file:
        for piece in pieces:
            if "zeros" in piece:
                file.seek(piece["zeros"], os.SEEK_CUR)
            else:
                file.write(image([piece]))
        file.truncate()


def _fields(struct: Any) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


@contextlib.contextmanager
def granted(header: dict[str, Any], place: Path) -> Iterator[dict[str, str]]:
    """The grants of `header` as a plan writes them: files, and a service that answers once on each connection."""
    grants: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        for name, grant in header.get("granted", {}).items():
            if grant["kind"] == "file":
                (place / name).write_bytes(bytes.fromhex(grant["hex"]))
                grants[name] = f"file:{place / name}"
                continue
            if grant["kind"] == "dir":
                make_folder(place / name, grant["files"])
                grants[name] = f"dir:{place / name}"
                continue
            service = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            path = place / f"{name}.socket"
            path.unlink(missing_ok=True)
            service.bind(str(path))
            service.listen()
            thread = threading.Thread(target=_serve, args=(service, grant), daemon=True)
            thread.start()
            stack.callback(service.shutdown, socket.SHUT_RDWR)
            grants[name] = f"unix:{path}"
        yield grants


def make_folder(folder: Path, files: dict[str, str]) -> None:
    """A folder with files, whose contents are hexadecimal digits by name."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(bytes.fromhex(content))


def _serve(service: socket.socket, grant: dict[str, Any]) -> None:
    asks = bytes.fromhex(grant["asks"])
    while True:
        try:
            peer, _ = service.accept()
        except OSError:
            return  # the test is over
        answers = bytes.fromhex(grant["answers"])
        threading.Thread(target=_answer, args=(peer, asks, answers), daemon=True).start()


def _answer(peer: socket.socket, asks: bytes, answers: bytes) -> None:
    with peer:
        if peer.recv(len(asks), socket.MSG_WAITALL) == asks:
            peer.sendall(answers)
