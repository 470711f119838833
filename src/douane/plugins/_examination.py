"""Determine from a stream of chunks what an image is, how large its disk is, and whether it is safe."""

from __future__ import annotations

import struct

from douane_plugin import Incomplete, Reject

from . import _checks, _signatures
from ._oslo import load_inspectors
from ._signatures import BLOCK, TAIL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

AS_STREAM = ("raw", "iso", "luks")
"""Formats of which a guest sees the bytes as they stand in the file, in LUKS from the payload on."""

_VHDX_TABLE_BYTES = 1 << 16  # the items of the metadata stand behind this table: MS-VHDX 2.6.1.2


class Examination:
    """Fed with an image's bytes until it has seen enough; what it found is in its attributes.

    `size` is the image's length in bytes, None where that is not known before the end. With `look_at_end`
    an image that begins as nothing in particular is read to its end, where a fixed VHD has its footer.
    A failed check settles the matter, unless `ignore` names it.

    oslo.utils' inspectors are fed blocks of :data:`BLOCK` bytes at multiples of that, however the chunks
    fall: what they find depends on where a chunk ends (a text descriptor is judged by its first chunk, a
    VHDX of which the header and the metadata stand in one chunk has no size).
    """

    def __init__(self, size: int | None, look_at_end: bool, ignore: frozenset[str] = frozenset()) -> None:
        self.formats: list[str] | None = None
        """What the bytes are, in Glance's names; empty for raw, None before that is known."""
        self.partition_table: str | None = None
        self.odd_partition_table: str | None = None
        """What oslo.utils finds wrong with a boot sector that is a partition table, or looks like one."""
        self.virtual_size: int | None = None
        """The size of the disk in bytes, as a guest sees it; None before it is known."""
        self.findings: dict[str, str] = {}
        """Failed checks: the name, one of :data:`_checks.SENTENCES`, and the detail."""
        self.trouble: Incomplete | None = None
        """Set where the image ends inside its own structures, or they cannot be understood."""
        self.head = b""
        """The first bytes, :data:`BLOCK` or more unless the image is shorter; empty before they are there."""
        self.settled = False
        """True when further bytes change nothing."""
        self._oslo = load_inspectors()
        self._size = size
        self._look_at_end = look_at_end
        self._ignore = ignore
        self._gathered = bytearray()
        self._head_bytes = BLOCK
        self._tail = b""
        self._seen = 0
        self._eaten = 0
        self._payload_at = 0  # offset of the disk in a stream that is one from there on
        self._reach = 0  # bytes that the image must have for its structures to lie inside it
        self._ended = False
        self._inspector: Any = None  # oslo.utils' own for the format, while it needs more of the image
        self._block = bytearray()

    @property
    def disk_format(self) -> str:
        """The one format found, ``"raw"`` if none. Raises Reject if there are several."""
        formats = self.formats or ["raw"]
        if len(formats) > 1:
            raise Reject(
                "format-ambiguous",
                f"the image can be read as {' and as '.join(formats)}, and what is in it depends on who "
                "reads it; convert it to one format and upload the result",
            )
        return formats[0]

    def feed(self, chunk: memoryview) -> bool:
        """Take the next bytes. Returns :attr:`settled`."""
        if self.settled:
            return True
        length = len(chunk)
        self._seen += length
        self._tail = bytes(chunk[-TAIL:]) if length >= TAIL else (self._tail + bytes(chunk))[-TAIL:]
        at = 0
        while not self.head and at < length:
            taken = min(length - at, self._head_bytes - len(self._gathered))
            self._gathered += chunk[at : at + taken]
            at += taken
            if len(self._gathered) == self._head_bytes:
                told = _signatures.begins_as(self._gathered)
                self._head_bytes = max(BLOCK, told[1] if told else 0)
                if len(self._gathered) == self._head_bytes:
                    self._judge_head()
                    self._settle()
        while self._wants_blocks() and not self.settled and at < length:
            taken = min(length - at, BLOCK - len(self._block))
            self._block += chunk[at : at + taken]
            at += taken
            if len(self._block) == BLOCK:
                self._eat_block()
                self._settle()  # here, not only where a chunk ends: the first thing that decides is the answer
        self._settle()
        return self.settled

    def finish(self) -> None:
        """The image has ended; :attr:`settled` is True after it. Raises Reject if there was not a byte."""
        if not self._seen:
            raise Reject("empty", "the image is empty: not a single byte arrived; upload it again")
        self._ended = True
        if not self.head:
            self._judge_head()
        if self._wants_blocks() and self._block:
            self._eat_block()
        self._settle()

    # what it is

    def _judge_head(self) -> None:
        head = self.head = bytes(self._gathered)
        self._gathered = bytearray()
        self.partition_table = _signatures.partition_table(head)
        told = _signatures.begins_as(head)
        text = _signatures.is_vmdk_text(head)
        matching = self._matching(head[:BLOCK])
        formats = list(matching)
        for name, found in (
            (told[0] if told else "", told is not None),
            ("vmdk", text),
            ("iso", _signatures.is_udf(head)),
        ):
            if found and name not in formats:
                formats.append(name)
        if formats and self.partition_table and formats != ["iso"]:
            formats.append(f"raw with a partition table ({self.partition_table})")
        if formats and _signatures.is_tar(head):
            formats.append("a tar archive")
        if not formats:
            self.odd_partition_table = self._odd_partition_table(head)
        if formats or not self._look_at_end:
            self.formats = formats
        if len(formats) != 1:
            return
        if told and len(head) < told[1]:
            self._truncated(f"its {told[0]} header of {told[1]} bytes")
        else:
            self._judge_structure(formats[0], head, matching.get(formats[0]))

    def _matching(self, head: bytes) -> dict[str, Any]:
        """oslo.utils' inspectors that know `head` as theirs, by Glance's name of the format."""
        matching = {}
        for name, kind in self._oslo.ALL_FORMATS.items():
            if name in ("raw", "gpt"):
                continue
            inspector = kind()
            try:
                inspector.eat_chunk(head)
                if inspector.format_match:
                    matching[name] = inspector
            except Exception as error:  # a parser given another format fails in any way it likes: no match
                del error
        return matching

    def _odd_partition_table(self, head: bytes) -> str | None:
        inspector = self._oslo.ALL_FORMATS["gpt"]()
        inspector.eat_chunk(head[:512])
        if not inspector.format_match:
            return None
        try:
            inspector.safety_check()
        except self._oslo.SafetyCheckFailed as failed:
            return "; ".join(str(reason) for reason in failed.failures.values())
        return None

    # what is in its headers

    def _judge_structure(self, name: str, head: bytes, inspector: Any) -> None:
        if name == "vmdk" and not head.startswith(b"KDMV"):
            if head.startswith(b"COWD"):
                self.findings["subformat"] = "a COWD extent"
            else:
                self.findings["descriptor"] = "a text descriptor, which names other files as the disk"
            return
        if name == "qcow2":
            self.findings, self._reach = _checks.qcow2(head)
        elif name == "vhd":
            self.findings, self._reach = _checks.vhd(head)
        elif name == "vdi":
            self.findings, self._reach = _checks.vdi(head)
        elif name == "vmdk":
            self.findings, self._reach = _checks.vmdk(head)
        elif name == "ploop":
            self.virtual_size = struct.unpack_from("<Q", head, 36)[0] * 512
        if inspector is None:
            if name == "vmdk" and not self.findings:
                self._unreadable(name)
            return
        self._inspector = inspector
        self._eaten = min(len(head), BLOCK)
        for at in range(BLOCK, len(head), BLOCK):
            if self._inspector is not None:
                self._block += head[at : at + BLOCK]
                self._eat_block()
        self._advance()

    def _wants_blocks(self) -> bool:
        return self._inspector is not None and not self._waits_for_end()

    def _waits_for_end(self) -> bool:
        inspector = self._inspector
        return (
            inspector is not None
            and inspector.has_region("footer")
            and inspector.has_region("descriptor")
            and inspector.region("descriptor").complete
        )

    def _eat_block(self) -> None:
        block, self._block = bytes(self._block), bytearray()
        self._eaten += len(block)
        try:
            self._inspector.eat_chunk(block)
        except Exception as error:  # its parsers raise struct.error, KeyError and more on bad data
            self._unreadable(self._inspector.NAME, error)
            return
        self._advance()

    def _advance(self) -> None:
        """Conclude where the inspector has all it needs."""
        inspector = self._inspector
        if inspector is None or self._waits_for_end():
            return
        if inspector.NAME == "vhdx":
            self._advance_vhdx(inspector)
        elif inspector.complete:
            self._conclude()

    def _advance_vhdx(self, inspector: Any) -> None:
        if self._eaten < _signatures.header_bytes("vhdx"):
            return
        if not inspector.has_region("metadata"):
            self._unreadable("vhdx")
            return
        table = inspector.region("metadata")
        if inspector.has_region("vds"):
            item = inspector.region("vds")
            self._reach = item.offset + 8
            if item.complete:
                self._conclude()
            elif item.offset < table.offset + _VHDX_TABLE_BYTES:
                self._unreadable("vhdx")
            return
        self._reach = table.offset + _VHDX_TABLE_BYTES
        if self._eaten >= self._reach + BLOCK:
            self._unreadable("vhdx")

    def _conclude(self) -> None:
        inspector, self._inspector = self._inspector, None
        name = inspector.NAME
        try:
            inspector.finish()
            inspector.safety_check()
        except self._oslo.SafetyCheckFailed as failed:
            self.findings.update(_checks.oslo_checks(inspector, failed.failures))
        except Exception as error:  # a parser that fails has not judged
            self._unreadable(name, error)
            return
        if name == "vhdx":
            self.findings.update(_checks.vhdx(self.head, bytes(inspector.region("metadata").data)))
        elif name == "vmdk":
            self.findings.update(_checks.vmdk_descriptor(inspector.desc_text or ""))
        try:
            self.virtual_size = self._header_size(name, inspector)
        except Exception as error:  # as above
            self._unreadable(name, error)

    def _header_size(self, name: str, inspector: Any) -> int | None:
        if name == "iso":
            self._reach = inspector.virtual_size  # the volume; a guest sees all of the file, so not the size
            return None
        if name == "luks":
            self._payload_at = self._reach = 512 * inspector.header_items["payload_offset"]
            return None
        if name == "vhd":
            # offset 48, the current size; oslo.utils reads the one at 40, which a resize leaves as it was
            return int(struct.unpack_from(">Q", self.head, 48)[0])
        return int(inspector.virtual_size)

    # the end of it

    def _settle(self) -> None:
        if self.settled or not self.head:
            return
        if self.formats is None and self._ended:
            self.virtual_size = _signatures.fixed_vhd_size(self._tail, self._seen)
            self.formats = [] if self.virtual_size is None else ["vhd"]
        if self.formats is None:
            return
        if len(self.formats) > 1:
            self.settled = True
            return
        size = self._seen if self._ended else self._size
        if self._ended and self._inspector is not None:
            self._conclude_at_end()
        if size is not None and self._reach > size:
            self._truncated(f"its own structures, which reach to byte {self._reach} of {size}")
        if self.virtual_size is None and (self.formats or ["raw"])[0] in AS_STREAM:
            self.virtual_size = None if size is None else max(0, size - self._payload_at)
        if self.virtual_size is not None and self.virtual_size > _checks.MAX_VIRTUAL_SIZE:
            self.findings["virtual-size"] = f"{self.virtual_size} bytes"
        inside = size is not None or self._seen >= self._reach
        pending = self._inspector is not None or self.virtual_size is None or not inside
        refused = not self._ignore.issuperset(self.findings)
        self.settled = self._ended or refused or self.trouble is not None or not pending

    def _conclude_at_end(self) -> None:
        if not self._waits_for_end():
            self._truncated("its own headers")
            return
        if self._eaten < self._seen:
            self._block[:] = self._tail  # of all that is left only the end matters to it
            self._eat_block()
        if self._inspector is not None:
            self._conclude()

    def _truncated(self, where: str) -> None:
        self._inspector = None
        if self.trouble is None:
            self.trouble = Incomplete(
                "truncated", f"the image ends inside {where}; it was cut short, so upload it again"
            )

    def _unreadable(self, name: str, error: Exception | None = None) -> None:
        self._inspector = None
        why = f" ({type(error).__name__}: {error})" if error is not None and str(error) else ""
        if self.trouble is None:
            self.trouble = Incomplete(
                "format-unreadable",
                f"the image begins as {name}, but its headers cannot be understood{why[:200]}; "
                "convert it (qemu-img convert) and upload the result",
            )
