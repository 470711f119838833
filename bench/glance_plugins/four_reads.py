"""An import plugin as written today: four checks in one task of Glance, one after the other.

Each check reads the staged file from start to end, in the process of Glance, as four plugins of four authors would.
The checks are those of Douane's plan in the benchmark: the format, a digest, limits, and a forbidden text. FOUR_READS
names a JSON file with the digest and the text.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from oslo_utils.imageutils import format_inspector
from taskflow import task
from taskflow.patterns import linear_flow

PIECE_BYTES = 1 << 20


class FourReads(task.Task):  # type: ignore[misc]  # taskflow has no types where this is checked
    """Raises ValueError on an image to be refused."""

    def __init__(self, task_id: str, task_type: str, wrapper: Any) -> None:
        self._wrapper = wrapper
        self._settings = json.loads(Path(os.environ["FOUR_READS"]).read_text())
        super().__init__(name=f"{task_type}-FourReads-{task_id}")

    def execute(self, file_path: str, **kwargs: Any) -> None:
        """Run the four checks, and set their results as properties."""
        path = file_path.removeprefix("file://")
        properties = {
            "four_reads_format": _format(path),
            "four_reads_sha256": _digest(path, self._settings["sha256"]),
            "four_reads_size": _limits(path, self._settings["most"]),
            "four_reads_text": _text(path, self._settings["text"].encode()),
        }
        with self._wrapper as action:
            action.set_image_extra_properties(properties)


def get_flow(**kwargs: Any) -> Any:
    """The taskflow for Glance (entry point ``glance.image_import.plugins``)."""
    task_ = FourReads(kwargs["task_id"], kwargs["task_type"], kwargs["action_wrapper"])
    return linear_flow.Flow(kwargs["task_type"]).add(task_)


def _pieces(path: str) -> Iterator[bytes]:
    with open(path, "rb", buffering=0) as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


def _inspected(path: str) -> Any:
    """The inspector of oslo.utils as Glance uses it; fed to the end, as some formats have their description there."""
    with open(path, "rb", buffering=0) as file:
        wrapper = format_inspector.InspectWrapper(file)
        while wrapper.read(PIECE_BYTES):
            pass
        wrapper.close()
        return wrapper.format


def _format(path: str) -> str:
    inspector = _inspected(path)
    inspector.safety_check()
    if str(inspector) != "raw":
        raise ValueError(f"the image is {inspector}")
    return str(inspector)


def _digest(path: str, expected: str) -> str:
    digest = hashlib.sha256()
    for piece in _pieces(path):
        digest.update(piece)
    if digest.hexdigest() != expected:
        raise ValueError("the image has another digest")
    return digest.hexdigest()


def _limits(path: str, max_size: int) -> str:
    size = _inspected(path).virtual_size
    if size > max_size:
        raise ValueError(f"the image is a disk of {size} bytes")
    return str(size)


def _text(path: str, text: bytes) -> str:
    overlap = b""
    for piece in _pieces(path):
        data = overlap + piece
        if text in data:
            raise ValueError("the image holds the text")
        overlap = data[1 - len(text) :]
    return "absent"
