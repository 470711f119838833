"""The messages between agent and client: JSON objects, one a line, over a Unix stream socket.

The client's first line is a request; descriptors travel with it (SCM_RIGHTS, unix(7))::

    {"version": 3, "do": "plan"}
    {"version": 3, "do": "inspect", "name": ..., "size": ..., "declared": {...}}   + the image [+ a file for the result]
    {"version": 3, "do": "bill", "record": {...}}   + a file for the bill

The agent replies with a line for each event: ``{"state": "waiting"}``; ``{"state": "begun", "plan": ...}`` with the
digest of the plan that the image goes through, which may have changed while the image waited; and last ``{"state":
"done", ...}`` or ``{"state": "failed", "code": ..., "message": ...}``. The image is a regular file, or a pipe that the
client fills. After the last byte the client sends ``{"do": "end"}``: a pipe that closes without it was given up. The
connection is the claim on the work: the agent stops when the client closes it. A bill of materials is requested with
the inventory in a report, and written into the file.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from douane.bills.kept import InventoryRecord
from douane.declared import DeclaredImage
from douane.engine.served_plan import PlanFacts
from douane.plan.binding import ANYBODY, Sender
from douane.report import Report

VERSION = 3


# ---- requests


class PlanRequest(msgspec.Struct, tag_field="do", tag="plan"):
    """Which plan does the agent serve?"""

    version: int = VERSION


class InspectRequest(msgspec.Struct, tag_field="do", tag="inspect"):
    """Inspect the image whose descriptor comes with this line."""

    declared: DeclaredImage
    name: str = "the image"
    image: Annotated[str, msgspec.Meta(max_length=255)] | None = None
    """The id that the summary of an accepted image names; None: an image that gets no summary."""
    sender: Sender = ANYBODY
    """By which the agent leaves out the plugins that are not for such images."""
    size: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] | None = None
    """Bytes of the image, as announced; None: unknown."""
    version: int = VERSION


class BillRequest(msgspec.Struct, tag_field="do", tag="bill"):
    """Write the bill of materials of an accepted image, in CycloneDX, into the file whose descriptor comes with this
    line."""

    record: InventoryRecord
    """The inventory in its report."""
    version: int = VERSION


class End(msgspec.Struct, tag_field="do", tag="end"):
    """The pipe has carried the whole image."""


Request = PlanRequest | InspectRequest | BillRequest


# ---- replies


class Waiting(msgspec.Struct, tag_field="state", tag="waiting"):
    """The image waits for a free worker."""


class Started(msgspec.Struct, tag_field="state", tag="begun"):
    """A worker has begun with the image."""

    plan: str
    """SHA-256 (hex) of the plan that the image goes through."""


class Failed(msgspec.Struct, tag_field="state", tag="failed"):
    """There is no report."""

    code: str
    message: str
    retry_after: float | None = None
    """Seconds."""


class Reported(msgspec.Struct, tag_field="state", tag="done"):
    """The image was inspected."""

    report: Report


class Billed(msgspec.Struct, tag_field="state", tag="done"):
    """The bill is written."""


PlanReply = PlanFacts | Failed
BillReply = Billed | Failed
InspectReply = Waiting | Started | Reported | Failed
