"""The inspector `format`: what the image is, from its bytes, and whether it is safe to hand on."""

from __future__ import annotations

from typing import Literal

from douane_plugin import Incomplete, Inspector, Reject

from . import _checks, _signatures
from ._examination import Examination

TYPE_CHECKING = False
if TYPE_CHECKING:
    from douane_plugin import Image

AS_RAW = ("raw", "ami", "aki", "ari", "gpt", "mbr")
"""Declared disk formats whose bytes have no structure of their own (Glance has the first four)."""

KNOWN = (*AS_RAW, "qcow2", "vhd", "vpc", "vhdx", "vmdk", "vdi", "qed", "iso", "luks", "ploop", "parallels")
"""Declared disk formats that can be compared with the bytes."""

WRAPPING = ("ova", "docker", "compressed")
"""Declared container formats of which the disk format says what is inside."""

_SAME = {"vpc": "vhd", "parallels": "ploop"}


class Format(Inspector):
    """Find out what the image is, refuse it if it is not what was declared or not safe to open.

    ``use = "format"``. It reads the first 64 KiB of most images, and more only where the format keeps its
    size or its description farther on. Nothing declared: what is found is accepted.

    Configuration:

    ``ignore`` (list of str, none)
        Checks not to make, by name, as in the codes below without ``unsafe-``: ``["unknown-features"]``.
    ``partition_table`` (``"warn"``, ``"strict"`` or ``"off"``)
        What a partition table that contradicts itself is worth: a warning, a refusal, nothing. Under
        ``"strict"`` a boot sector without a possible partition table is refused too, and with it kernels
        (``aki``) and file systems that have a boot sector.

    Properties: ``disk_format`` (Glance's name), ``virtual_size`` (bytes, where it can be told), and where
    they are known ``container_format`` (``bare`` or ``ova``) and ``partition_table`` (``gpt`` or ``mbr``).

    Refuses with ``empty``, ``format-mismatch`` (declared and found differ), ``format-ambiguous`` (two formats
    in one file; an ISO image with a partition table is normal and passes), and for a failed check with
    ``unsafe-backing-file``, ``unsafe-data-file``, ``unsafe-parent``, ``unsafe-extents``,
    ``unsafe-descriptor``, ``unsafe-footer``, ``unsafe-subformat``, ``unsafe-unknown-features``,
    ``unsafe-corrupt``, ``unsafe-header``, ``unsafe-log``, ``unsafe-version``, ``unsafe-inner-safety``,
    ``unsafe-banned``, ``unsafe-virtual-size``, ``unsafe-partition-table``.

    Incomplete with ``truncated`` (it ends inside its own headers), ``format-unreadable`` (they cannot be
    understood), ``format-unknown`` (a disk format was declared that cannot be compared).

    Warns with ``odd-partition-table``.
    """

    def __init__(
        self, ignore: list[str] | None = None, partition_table: Literal["warn", "strict", "off"] = "warn"
    ) -> None:
        self.ignored = frozenset(ignore or ())
        unknown = sorted(self.ignored.difference(_checks.SENTENCES))
        if unknown:
            there = ", ".join(_checks.SENTENCES)
            raise ValueError(f"'ignore' names a check that does not exist, {unknown[0]!r:.60}; there are: {there}")
        self.partition_table = partition_table

    def inspect(self, image: Image) -> dict[str, str | int]:
        """Raises Reject and Incomplete as told above; returns the properties."""
        declared, container = image.disk_format, image.container_format
        if container in WRAPPING:
            declared = None
        examination = Examination(image.size, declared not in AS_RAW, self.ignored)
        agreed = False
        for chunk in image:
            done = examination.feed(chunk)
            if not agreed and examination.formats is not None:
                _agree(declared, container, examination)
                agreed = True
            if done:
                break
        if not examination.settled:
            examination.finish()
            _agree(declared, container, examination)
        self._judge(examination)
        return _properties(examination, container)

    def _judge(self, examination: Examination) -> None:
        findings = {name: detail for name, detail in examination.findings.items() if name not in self.ignored}
        for name, detail in findings.items():
            self.log.info("failed check %s: %s", name, detail)
        for name in findings:
            why = _checks.sentence(name)
            raise Reject(f"unsafe-{name}", f"the {examination.disk_format} image is not safe: {why}")
        if examination.trouble is not None:
            raise examination.trouble
        odd = examination.odd_partition_table
        if odd is None or "partition-table" in self.ignored:
            return
        if self.partition_table == "strict":
            raise Reject("unsafe-partition-table", f"the image's partition table contradicts itself: {odd}")
        if self.partition_table == "warn" and examination.partition_table:
            self.warn("odd-partition-table", f"the image's partition table contradicts itself: {odd}")


def _agree(declared: str | None, container: str | None, examination: Examination) -> None:
    found = examination.disk_format
    if container == "compressed" and not _signatures.is_compressed(examination.head):
        raise Reject("format-mismatch", f"the image is declared as compressed, but it is {found}")
    if container in ("ova", "docker") and not _signatures.is_tar(examination.head):
        raise Reject("format-mismatch", f"the image is declared as {container}, a tar archive, but it is {found}")
    if declared is None:
        return
    wanted = "raw" if declared in AS_RAW else _SAME.get(declared, declared)
    if wanted == found:
        return
    if wanted == "raw" and (found == "luks" or (found == "iso" and examination.partition_table)):
        return  # an encrypted volume has no other name in Glance; a hybrid ISO is a disk, too
    if declared not in KNOWN:
        raise Incomplete(
            "format-unknown",
            f"the image is declared as {declared:.40}, which cannot be compared with its bytes: {found}",
        )
    raise Reject(
        "format-mismatch",
        f"the image is declared as {declared}, but it is {found}; declare what it is, or convert it, "
        "and upload it again",
    )


def _properties(examination: Examination, container: str | None) -> dict[str, str | int]:
    told: dict[str, str | int] = {"disk_format": examination.disk_format}
    ova = _signatures.is_ova(examination.head)
    if examination.virtual_size is not None and not ova and container not in WRAPPING:
        told["virtual_size"] = examination.virtual_size
    if examination.partition_table:
        told["partition_table"] = examination.partition_table
    if ova:
        told["container_format"] = "ova"
    elif examination.formats or examination.partition_table:
        told["container_format"] = "bare"
    return told
