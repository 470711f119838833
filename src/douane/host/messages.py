"""The frames of the wire as types: those that the engine sends, and those that a plugin's process may send."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from douane.plan.code import ModuleClass, SourceFile, WireProgram
from douane_plugin import wire

from .log import CRITICAL, INFO

MOST_SECONDS = 1e9
MOST_BYTES = (1 << 63) - 1
"""Larger than any image, and the largest number that a report can hold."""

MAX_TRACE = 16_000

Needs = Literal["bytes", "file", "files", "findings", "nothing"]
"""The form in which a plugin gets the image: bytes in order, a file, the files in it as records, the findings of
others, or only the facts."""


class Violation(Exception):
    """A plugin's process sent a frame that the wire does not allow; the text says which."""


# engine -> plugin


class SentGrant(msgspec.Struct, frozen=True, omit_defaults=True):
    """A granted resource. `kind` is ``file``, ``dir`` or ``socket``."""

    kind: str
    fd: int | msgspec.UnsetType = msgspec.UNSET
    """The open file or the connection; a folder has none, as a descriptor of it would lead to its parents."""

    path: str | msgspec.UnsetType = msgspec.UNSET
    """Where the plugin finds the file or folder."""

    connect_fd: int | None = None
    """A socket over which the plugin asks for further connections."""

    socket_folder: str | None = None
    """The folder of the path at which libraries can connect."""


class SentRing(msgspec.Struct, frozen=True):
    """A ring: the descriptor of its memory, and the length of a slot in bytes."""

    fd: int
    slot_bytes: int


class SentScratch(msgspec.Struct, frozen=True):
    """The scratch files, and how many bytes they may take together."""

    fds: list[int]
    bytes: int


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """LOAD: the plugin to load, its configuration and its descriptors."""

    levels: tuple[int, int]
    name: str
    log_level: int
    use: SourceFile | ModuleClass | WireProgram
    config: dict[str, Any]
    texts: dict[str, str]
    grants: dict[str, SentGrant]
    rings: list[SentRing]
    image_fd: int | None
    output_fd: int | None
    scratch: SentScratch | None
    reuse: bool | msgspec.UnsetType = msgspec.UNSET


class Next(msgspec.Struct, frozen=True):
    """NEXT: what another image brings. Each `fd` is an index into the descriptors that come with the frame."""

    log_level: int
    grants: dict[str, SentGrant]
    rings: list[SentRing]


class ImageFacts(msgspec.Struct, frozen=True, kw_only=True):
    """IMAGE: the facts about an image. `ring` is the number of the ring that holds its bytes."""

    name: str | None
    size: int | None
    disk_format: str | None
    container_format: str | None
    properties: dict[str, Any]
    owner: str | None
    roles: tuple[str, ...]
    findings: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    ring: int = 0


# plugin -> engine


class DescribedParameter(msgspec.Struct, frozen=True):
    """A parameter of a plugin's constructor."""

    name: str
    type: str
    required: bool
    default_text: str = ""
    default: Any = None

    def to_json(self) -> dict[str, Any]:
        """The fields, without a default where there is none, or none that JSON can express."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        if self.required or (self.default is None and self.default_text != "None"):
            del fields["default"]
        return fields


class Described(msgspec.Struct, frozen=True, rename={"cls": "class"}):
    """DESCRIBED: the plugin's class, before it is instantiated."""

    api: int
    kind: Literal["inspector", "transform"]
    reads: str
    level: int
    parameters: list[DescribedParameter] = []
    cls: str = ""
    doc: str = ""
    takes_any: bool = False
    reuse: bool = False
    """The runtime can serve further images."""

    @property
    def is_transform(self) -> bool:
        """True for a transform."""
        return self.kind == "transform"

    @property
    def needs(self) -> Needs:
        """The form in which the plugin gets the image."""
        needs: dict[str, Needs] = {
            "random": "file",
            "guest": "file",
            "guest+findings": "file",
            "files": "files",
            "findings": "findings",
            "nothing": "nothing",
        }
        return needs.get(self.reads, "bytes")

    @property
    def reads_findings(self) -> bool:
        """True if the plugin gets its image when all earlier plugins have answered, with their findings."""
        return self.reads in ("findings", "guest+findings")

    @property
    def limit(self) -> int | None:
        """The number of leading bytes that the plugin reads in order; None: all."""
        if self.reads.startswith("head:"):
            return int(self.reads[5:])
        return 0 if self.reads == "nothing" else None


class Logged(msgspec.Struct, frozen=True):
    """LOG: one line for the operator."""

    message: str
    level: int | None = None

    @property
    def bounded_level(self) -> int:
        """The level, from 0 to 50 (CRITICAL): the logging module caches every level that it meets."""
        return min(max(self.level, 0), CRITICAL) if self.level is not None else INFO


class Warn(msgspec.Struct, frozen=True):
    """WARN: something to tell the tenant without refusing the image."""

    message: str
    code: str


FormatName = Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[\x20-\x7e]*$")]
"""The name of a format: printable ASCII, short, since the catalog, a terminal and other plugins get it."""


class Becomes(msgspec.Struct, frozen=True):
    """BECOMES: the formats of a transform's output."""

    disk_format: FormatName | msgspec.UnsetType = msgspec.UNSET
    container_format: FormatName | msgspec.UnsetType = msgspec.UNSET

    def formats(self) -> dict[str, str]:
        """The formats that were given, by name."""
        formats: dict[str, str] = msgspec.to_builtins(self)
        return formats


class Accept(msgspec.Struct, frozen=True):
    """ACCEPT, its properties unchecked."""

    properties: dict[str, Any] | None = None
    proposed: dict[str, Any] | None = None
    documents: dict[str, Any] = {}
    seen: Any = None
    unread: bool = False
    """A plugin that reads files has looked at what could not be read."""


class Refuse(msgspec.Struct, frozen=True):
    """REFUSE and INCOMPLETE."""

    message: str
    code: str
    documents: dict[str, Any] = {}
    seen: Any = None


class Defer(msgspec.Struct, frozen=True):
    """DEFER."""

    message: str
    retry_after: Any = None
    documents: dict[str, Any] = {}
    seen: Any = None


class Cause(msgspec.Struct, frozen=True):
    """The facts about an exception that a sandbox may cause."""

    error: str = ""
    """The class of the exception."""

    errno: int | None = None
    path: str | None = None
    module: str | None = None
    """The module that was not found."""

    calls: Annotated[list[str], msgspec.Meta(max_length=64)] = []
    """Functions that were running or called, the innermost first."""


class Failed(msgspec.Struct, frozen=True):
    """FAILED: the plugin raised an exception of type `kind`."""

    stage: str | None = None
    kind: str | None = None
    message: str | None = None
    trace: str | None = None
    cause: Cause | None = None
    is_bug: bool = False
    """A TypeError of a constructor that does not refuse the configuration."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin's own answer, checked. `seen` is its own count of the bytes it read."""

    outcome: Literal["accepted", "refused", "incomplete", "deferred"]
    code: str | None = None
    message: str | None = None
    retry_after: float | None = None
    properties: Any = {}
    proposed: Any = {}
    documents: Any = {}
    seen: Any = None
    looked_at_unread: bool = False


def name_of(kind: int) -> str:
    """The name of a type of frame, or its number if there is none."""
    return wire.TYPES.get(kind, str(kind))
