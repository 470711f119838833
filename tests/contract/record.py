"""Record conversations between the engine and the runtime of today: ``python tests/contract/record.py [NAME...]``.

What is in level1/ is not recorded again: a conversation that is there is left alone, and a new one gets a new name.
MANIFEST is written anew; the lines that level1-digests.txt needs are printed.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

from douane import sandbox
from douane.host import python_plugin
from douane.stream import channel_reader
from douane_plugin import wire
from support.contract.conversation import LEVEL1, NAME, Frame, differences, digest, image
from support.contract.engine_plans import examine
from support.contract.recordings import RECORDINGS
from support.contract.reports import CASES, RECORDED, check


class Tap:
    """Records both sides of the conversation with the plugin named NAME."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self._sender: Any = None

    def put_on(self) -> None:
        """Record from here on."""
        plugin, reader, pack = python_plugin.PythonPlugin, channel_reader.ChannelReader, python_plugin.pack
        on_frame, send_image, start, send = plugin._on_frame, plugin.send_image, plugin.start, reader._send
        channels = set()

        def record_frame(process: Any, kind: int, payload: bytes) -> None:
            if process.spec.name == NAME:
                self.frames.append(Frame("plugin", kind, payload))
            on_frame(process, kind, payload)

        def record_packed(kind: int, message: Any) -> bytes:
            data = pack(kind, message)
            if self._sender is not None and self._sender.spec.name == NAME:
                if kind == wire.LOAD:
                    self.frames.clear()  # started a second time
                    channels.clear()
                    channels.add(id(self._sender._process.socket))
                self.frames.append(Frame("engine", kind, data[wire.HEADER_BYTES :]))
            return data

        def as_sender(function: Any) -> Any:
            def call(process: Any, *args: Any) -> None:
                self._sender = process
                try:
                    function(process, *args)
                finally:
                    self._sender = None

            return call

        def record_bytes(ring_reader: Any, frames: bytes) -> None:
            if id(ring_reader._channel) in channels:
                self._record_all(frames)
            send(ring_reader, frames)

        plugin._on_frame = record_frame  # type: ignore[method-assign]  # a tap
        plugin.send_image, plugin.start = as_sender(send_image), as_sender(start)  # type: ignore[method-assign]  # a tap
        python_plugin.pack = record_packed
        reader._send = record_bytes  # type: ignore[method-assign]  # a tap

    def _record_all(self, frames: bytes) -> None:
        """Record what the engine sends at once: frames one after the other."""
        while frames:
            kind = int.from_bytes(frames[:4], "little")
            end = wire.HEADER_BYTES + int.from_bytes(frames[4 : wire.HEADER_BYTES], "little")
            self.frames.append(Frame("engine", kind, frames[wire.HEADER_BYTES : end]))
            frames = frames[end:]


def record(tap: Tap, name: str, header: dict[str, Any]) -> None:
    """Write the conversation `name`."""
    with tempfile.TemporaryDirectory() as place:
        os.chdir(LEVEL1.parent)  # so that what is recorded names nobody's folders
        tap.frames.clear()
        log: list[Any] = []
        use = f"level1/plugins/{header['plugin']}"
        verdict, output = examine(header, Path(place), sandbox.Tier.STRICT, base="", use=use, log=log)
        expected = header.pop("expected")
        for frame in tap.frames:
            if frame.kind == wire.LOAD:
                frame.payload = frame.payload.replace(place.encode(), b"/granted")
        changes = differences(expected, verdict)
        if changes:
            raise SystemExit(f"{name}: {changes}\n{log}")
    if (verdict.get("code") or "").startswith("guest-"):
        del verdict["message"]  # its text is that of `douane_guest`, which is not promised
    header["verdict"] = verdict
    if (output and any(frame.kind == wire.BEGIN for frame in tap.frames)) or name == "transform-empty":
        header["output"] = {"bytes": len(output), "sha256": digest(output), "zlib": zlib.compress(output, 9).hex()}
    lines = [json.dumps({"level": 1, **header}, ensure_ascii=False)]
    for frame in tap.frames:
        about = {"from": frame.sender, "type": wire.TYPES[frame.kind], "kind": frame.kind}
        lines.append(json.dumps({**about, "payload": frame.payload.hex()}))
    (LEVEL1 / "conversations" / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"recorded {name}: {len(tap.frames)} frames, {len(image(header['image']))} bytes", file=sys.stderr)


def _record_reports() -> None:
    """Write the shapes of the reports."""
    reports = {}
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as place:
            code, report = check(case, Path(place))
        if code:
            report.pop("received", None)  # it has digests if all had arrived before it was decided
        reports[name] = {"case": case, "exit": code, "report": report}
    RECORDED.write_text(json.dumps(reports, indent=1) + "\n")


def main() -> None:
    """Record what is not there yet."""
    tap = Tap()
    tap.put_on()
    for name, header in RECORDINGS.items():
        if not (LEVEL1 / "conversations" / f"{name}.jsonl").exists() and (not sys.argv[1:] or name in sys.argv[1:]):
            record(tap, name, header)
    if not RECORDED.exists():
        _record_reports()
    files = sorted(path for path in LEVEL1.rglob("*") if path.suffix in (".py", ".jsonl", ".json"))
    lines = [f"{digest(path.read_bytes())}  {path.relative_to(LEVEL1)}" for path in files]
    (LEVEL1 / "MANIFEST").write_text("\n".join(lines) + "\n")
    for line in lines:
        print(f"level1: {line[66:]} sha256 {line[:12]}")


if __name__ == "__main__":
    main()
