"""What `douane rescan` runs in place of the inspector: it takes inventories that are on record, and reads no image.
Each comes as a line of JSON, and each answer is one."""

from __future__ import annotations

import json

from douane.plugins._judgement import Judgement
from douane_plugin import Incomplete, Reject, Transform
from douane_plugin.wire import MAX_MESSAGE

from .clock import today
from .inventory import DOCUMENT, Shelf, inventory_from
from .settings import Settings, open_database
from .verdicts import MATCHES, InventoryJudge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from douane_plugin import Image

MAX_LINE = 8 << 20
"""Bytes of a question: the documents of an image, and its properties."""


class PackagesAgain(Settings, Transform):
    """The verdicts of the inspector on images whose inventories are on record. A line of the stream is a question
    (``id``, ``documents``), and of the output an answer, as `douane.rescan.again` has them."""

    def transform(self, image: Image) -> Iterator[bytes]:
        """Yield the answers."""
        day = today()
        try:
            database, failure = open_database(self.path, self.max_age, day), None
        except Incomplete as error:
            database, failure = None, error
        judge, shelf = InventoryJudge(self, database, day), Shelf()
        for line in lines_of(image):
            self.alive()
            question = json.loads(line)
            if database is not None:
                database.begin()
            answer = _incomplete(failure) if failure else _answer(judge, question["documents"], shelf)
            yield json.dumps({"id": question["id"], **answer}).encode() + b"\n"


class _Warnings:
    """Takes what a judgement says beside the answer."""

    def __init__(self) -> None:
        self.warnings: list[dict[str, str]] = []

    def attach(self, name: str, document: object) -> None:
        """The documents on record stay."""

    def warn(self, code: str, message: str) -> None:
        """As a plugin does."""
        self.warnings.append({"code": code, "message": message[:MAX_MESSAGE]})


def _answer(judge: InventoryJudge, documents: dict[str, Any], shelf: Shelf) -> dict[str, Any]:
    try:
        inventory = inventory_from(documents.get(DOCUMENT), shelf)
    except ValueError as error:
        return {"outcome": "unknown", "message": str(error)[:MAX_MESSAGE]}
    warnings = _Warnings()
    judgement = Judgement(warnings, MATCHES, room=0)
    try:
        properties, _ = judge.judge(inventory, judgement)
        properties = judgement.answer(properties)
    except Reject as error:
        return {"outcome": "refused", "code": error.code, "message": error.message[:MAX_MESSAGE]}
    except Incomplete as error:
        return _incomplete(error)
    return {"outcome": "accepted", "properties": properties, "warnings": warnings.warnings}


def _incomplete(error: Incomplete) -> dict[str, Any]:
    return {"outcome": "incomplete", "code": error.code, "message": error.message[:MAX_MESSAGE]}


def lines_of(image: Image) -> Iterator[bytes]:
    """The lines of a stream, which ends with the end of a line. Raises ValueError for one that is too long."""
    rest = bytearray()
    for chunk in image:
        rest += chunk
        *lines, rest = rest.split(b"\n")
        yield from map(bytes, lines)
        if len(rest) > MAX_LINE:
            raise ValueError(f"a line has more than {MAX_LINE} bytes")
