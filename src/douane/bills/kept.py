"""The bill of an image that was let in, by the inventory that the inspector `packages` attached then: no byte of the
image is read. The inventory comes of a stranger's image, so it is unpacked where images are: in a sandbox.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

from douane.declared import DeclaredImage
from douane.engine import FileSource, Plan, PluginSpec, RunOptions, inspect_image
from douane.errors import NoInventory, NotShown
from douane.plan.builtin import is_one_of
from douane.plugins.packages.inventory import DOCUMENT
from douane.report import EXIT_CODES, Report
from douane.stream.sink import TempSink
from douane.units import MiB

from .unread import UnreadParts, unread_parts
from .writer import Bill, stored_name, write_bill

if TYPE_CHECKING:  # Glance and the agent have no catalog
    from douane.catalog import AcceptedImport, Image

INSPECTORS = ("packages",)
NAME = "inventory"
TOO_LONG = "its list of packages was too long to be kept with the import"
NONE = (
    "no import on record has kept its list of packages; the plan needs the inspector `packages`, after all transforms, "
    "when the image is imported"
)
NOT_LISTED = "it has no list of packages; the plan needs the inspector `packages`, after all transforms"
NO_DIGEST = "the SHA-256 of the image was not taken"
DAMAGED = "inventory-damaged"
EMPTY = "empty"
"""Codes of the run: the inventory is none, and no component was written, which is no failure."""

MAX_COMPONENTS = 64 * MiB
"""Bytes of the components; 7,000 packages of Debian have 2.7 MiB."""


class InventoryRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An inventory on record."""

    image: str
    task: str
    """The import whose report has it; empty where imports have no name."""

    sha256: str
    """Of the stored bytes, which it is of."""

    document: dict[str, Any]


def kept_inventory(image: Image, imports: Sequence[AcceptedImport]) -> InventoryRecord:
    """The inventory of the last of these imports, oldest first, that has one of the stored bytes.

    Raises NoInventory with a sentence that says why there is none.
    """
    problem = NONE
    for accepted in reversed(imports):
        report = _report_of(accepted, image)
        inventory = NONE if report is None else inventory_in(report, image.id, accepted.id)
        if isinstance(inventory, InventoryRecord):
            return inventory
        if inventory == TOO_LONG:
            problem = TOO_LONG
    raise _none(image.id, problem)


def inventory_in(report: Report, image_id: str, import_id: str = "") -> InventoryRecord | str:
    """The inventory of the stored bytes that a report has; or a sentence that says why there is none."""
    problem = NOT_LISTED
    for verdict in report.verdicts_on_stored():
        document = verdict.documents.get(DOCUMENT)
        if verdict.ran is None or not is_one_of(verdict.ran.use, INSPECTORS) or not isinstance(document, dict):
            continue
        if "too_long" in document:
            problem = TOO_LONG
        elif report.stored.sha256 is None:
            problem = NO_DIGEST
        else:
            return InventoryRecord(image=image_id, task=import_id, sha256=report.stored.sha256, document=document)
    return problem


def _report_of(accepted: AcceptedImport, image: Image) -> Report | None:
    """The report of an import, if it is of the bytes that are stored, and has their SHA-256."""
    try:
        report = msgspec.convert(accepted.report, Report)
    except msgspec.ValidationError:
        return None
    stored = report.stored.digests()
    common = stored.keys() & image.digests.keys()
    is_same = bool(common) and all(stored[name] == image.digests[name] for name in common)
    return report if is_same and report.stored.sha256 is not None else None


def write_kept_bill(
    record: InventoryRecord, output: TextIO, options: RunOptions, *, timestamp: bool = False
) -> UnreadParts:
    """Write the bill of an inventory. What the import could not read.

    Raises NoInventory if the inventory is damaged, DouaneError if the sandbox fails; nothing has been written then.
    """
    with contextlib.closing(TempSink("as components of the bill")) as sink:
        unread = _unpack(record, sink, options)
        bill = Bill(
            name=stored_name(record.image),
            sha256=record.sha256,
            unread=unread.count,
            transforms=(),
            timestamp=timestamp,
            imported=record.task,
        )
        with os.fdopen(sink.open_read(), "rb") as lines:
            write_bill(bill, lines, output)
    return unread


def write_bill_into(fd: int, record: InventoryRecord, options: RunOptions) -> None:
    """Write the bill of an inventory into the file `fd`, which stays open. Raises as :func:`write_kept_bill`, and
    OSError."""
    with open(os.dup(fd), "w", encoding="utf-8") as output:
        write_kept_bill(record, output, options)


def _unpack(record: InventoryRecord, sink: TempSink, options: RunOptions) -> UnreadParts:
    """Write the components of an inventory into `sink`."""
    spec = PluginSpec(
        name=NAME,
        use="douane.plugins.guest_view.kept:KeptComponents",
        max_output=MAX_COMPONENTS,
        max_ratio=math.inf,
    )
    fd = os.memfd_create("douane-inventory", os.MFD_CLOEXEC)
    with open(fd, "wb", closefd=False) as file:
        file.write(msgspec.json.encode(record.document) + b"\n")
    plan = Plan(plugins=(spec,), digests=(), received_digests=())
    source = FileSource(fd, "the inventory")
    report = inspect_image(plan, DeclaredImage(), source, sink, options, complete=False)
    verdict = report.verdicts[0]
    if verdict.code == DAMAGED:
        raise _none(record.image, verdict.message or DAMAGED)
    if verdict.outcome != "accepted" or (report.outcome != "accepted" and report.code != EMPTY):
        message = report.message or "the inventory could not be read"
        raise NotShown(message, code=report.code, exit_code=EXIT_CODES[report.outcome])
    return unread_parts(verdict)


def _none(image: str, problem: str) -> NoInventory:
    return NoInventory(f"the image {image} has no bill of materials from its import: {problem}")
