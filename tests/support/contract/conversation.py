"""A recorded conversation between an engine and a plugin's process: the file, and what stood around it.

The first line of a file is an object:

about      what is recorded, a sentence
plugin     FILE:CLASS, below level1/plugins
plan       the keys of the plugin's table in the plan, but for name, use and grants
before     uses of plugins that stand before it in the plan
image      the image's bytes, in pieces: {"hex": ...}, {"zeros": n} or {"hex": ..., "times": n}
ring       of a plugin that reads files: the bytes of the ring, in such pieces; they are not the image's
declared   what was declared of the image
granted    name to {"kind": "file", "hex": ...} or {"kind": "socket", "asks": hex, "answers": hex}
python     the oldest Python that the plugin can be loaded by
verdict    what the report says of it
output     for a transform that makes an image: {"bytes": n, "sha256": ...}

Every other line is a frame: "from" ("engine" or "plugin"), "type" (its name, for people), "kind" and "payload" (hex).
CAGED is not among them: it is the launcher's, and tells of the machine.

Needs nothing but Python 3.9: it runs where there is nothing of Douane but the contract.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

LEVEL1 = Path(__file__).parents[2] / "contract" / "level1"
PLUGINS = LEVEL1 / "plugins"
BLOCK = 4096
NAME = "recorded"
"""The plugin's name in every plan."""

DESCRIBED, READY, RELEASE, PROGRESS, LOG, ALIVE, BEGIN = 2, 3, 4, 5, 6, 11, 10
ACCEPT, INCOMPLETE, FAILED = 16, 19, 20
LOAD, IMAGE, DATA, HOLE, END = 64, 65, 66, 67, 68
BINARY = (READY, RELEASE, PROGRESS, 9, BEGIN, ALIVE, DATA, HOLE, END)


class Frame:
    """One frame, and who sent it."""

    def __init__(self, sender: str, kind: int, payload: bytes) -> None:
        self.sender, self.kind, self.payload = sender, kind, payload

    @property
    def json(self) -> dict[str, Any]:
        """The payload of a JSON frame."""
        value: dict[str, Any] = json.loads(self.payload)
        return value

    @property
    def numbers(self) -> list[int]:
        """The payload of a binary frame."""
        return [int.from_bytes(self.payload[at : at + 8], "little") for at in range(0, len(self.payload), 8)]

    @property
    def bytes(self) -> bytes:
        """As it is sent."""
        return self.kind.to_bytes(4, "little") + len(self.payload).to_bytes(4, "little") + self.payload


class Conversation:
    """What a file holds."""

    def __init__(self, path: Path) -> None:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        self.path = path
        self.header: dict[str, Any] = lines[0]
        self.frames = [Frame(line["from"], line["kind"], bytes.fromhex(line["payload"])) for line in lines[1:]]

    @property
    def image(self) -> bytes:
        """All bytes of the image."""
        return image(self.header["image"])

    @property
    def ring(self) -> bytes:
        """All bytes that the engine put into the ring."""
        return image(self.header["ring"]) if "ring" in self.header else self.image

    def sent_by(self, who: str) -> list[Frame]:
        """The frames of one side, in order."""
        return [frame for frame in self.frames if frame.sender == who]


def image(pieces: list[dict[str, Any]]) -> bytes:
    """The bytes that `pieces` describe."""
    return b"".join(
        bytes(piece["zeros"]) if "zeros" in piece else bytes.fromhex(piece["hex"]) * piece.get("times", 1)
        for piece in pieces
    )


def pieces(data: bytes) -> list[dict[str, Any]]:
    """`data` in pieces; long runs of zeros are short ones."""
    parts: list[dict[str, Any]] = []
    for number in range(0, len(data), BLOCK):
        block = data[number : number + BLOCK]
        if any(block):
            parts.append({"hex": block.rstrip(b"\0").hex()})
            block = block[len(block.rstrip(b"\0")) :]
        if block:
            parts.append({"zeros": len(block)})
    return parts


def conversations() -> list[Path]:
    """All that were recorded."""
    return sorted((LEVEL1 / "conversations").glob("*.jsonl"))


def with_unknown(value: dict[str, Any]) -> dict[str, Any]:
    """`value` with keys of a later release, as optional ones may be added within a level."""
    return {"a_later_key": {"nested": [1, None, "text"]}, **value, "another_later_key": None}


def differences(recorded: Any, sent: Any, where: str = "") -> list[str]:
    """What of `recorded` is not in `sent`; further keys of an object are allowed, within a level things are added."""
    if isinstance(recorded, dict) and isinstance(sent, dict):
        lines = []
        for key, value in recorded.items():
            if key not in sent:
                lines.append(f"{where}{key} is missing")
            else:
                lines += differences(value, sent[key], f"{where}{key}.")
        return lines
    if isinstance(recorded, list) and isinstance(sent, list) and len(recorded) == len(sent):
        return [line for n, (a, b) in enumerate(zip(recorded, sent)) for line in differences(a, b, f"{where}{n}.")]
    return [] if recorded == sent and type(recorded) is type(sent) else [f"{where}: {recorded!r} was {sent!r}"]


def digest(data: bytes) -> str:
    """sha256, hex."""
    return hashlib.sha256(data).hexdigest()
