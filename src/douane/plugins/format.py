"""The inspector `format`: what the image is, from its bytes, and whether it is safe to hand on."""

from __future__ import annotations

from douane_plugin import Incomplete, Inspector, Reject

from ._image_format import ALLOWED, COMPRESSIONS, DISK_FORMATS, LISTABLE, ImageFormat
from ._literal import Literal
from .formats.base import PASS, REFUSE, WARN
from .formats.codes import CODES
from .formats.examination import Examination
from .formats.registry import FORMATS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from douane_plugin import Image

    from .formats.match import Finding

WRAPPING = ("ova", "docker", "compressed")
"""Declared container formats of which the disk format says what is inside."""

HALF_READ = {"truncated": "truncated", "out-of-order": "format-unreadable", "reader-failed": "format-unreadable"}
"""Findings after which it is not known what else is in the image, and how they are told."""

MOST_VARIANT = 200
"""Characters: a VMDK's is whatever its description says. A property has at most 4096."""

MOST_SIZE = (1 << 63) - 1
"""Of a file (off_t), and of a property. An image with a larger disk is refused, unless the operator lets it in."""

STEP_BYTES = 1 << 20
OPEN = ("raw", "iso")
"""Found at the beginning, these do not rule out that it is a VHD of fixed size: any disk with a footer at its end."""


class Format(Inspector):
    """Find out what the image is, refuse it if it is not what was declared or not safe to open.

    ``use = "format"``. It sees the whole image, as some formats have their description at the end, and more than
    one can be in a file; of most of it it looks at nothing. Nothing declared: what is found is accepted.

    Configuration:

    ``formats`` (list of str; those in the documentation)
        What is allowed: Glance's disk formats, and ``ova``, ``tar``, ``zip``, ``gzip``, ``xz``, ``zstd``, ``bzip2``,
        ``lz4``, ``lzma`` for what is packed. Anything else is refused with ``format-not-allowed``. More that can be
        named: ``qcow``, ``qed``, ``bochs``, ``cloop``, ``dmg``, ``ewf``, ``nrg``, ``ovf``, ``parallels-xml``.
    ``refuse``, ``warn``, ``ignore`` (lists of str, none)
        Findings, by their codes (docs/formats.md), that are to refuse, to warn, or to pass, whatever they do by
        default: ``refuse = ["encrypted"]``.
    ``partition_table`` (``"normal"``, ``"strict"`` or ``"off"``)
        What a partition table that contradicts itself is worth: a warning, a refusal, nothing.

    Properties: ``disk_format`` (Glance's name), ``virtual_size`` (bytes, where it can be told), and where they
    are known ``detected`` (more precisely than the disk format: ``gpt``, ``gzip``, ``luks2``), ``variant``,
    ``container_format`` (``bare`` or ``ova``) and ``partition_table`` (``gpt`` or ``mbr``).

    Refuses with ``empty``, ``format-mismatch`` (declared and found differ), ``format-not-allowed``,
    ``format-ambiguous`` (two formats in one file; an ISO image with a partition table is normal and passes), and for
    a finding with ``unsafe-`` and its code. Incomplete with ``truncated`` (it ends inside its own structures),
    ``format-unreadable`` (they cannot be understood), ``format-unknown`` (a disk format was declared that cannot be
    compared). Warns with the code of a finding.
    """

    def __init__(
        self,
        formats: list[str] | None = None,
        refuse: list[str] | None = None,
        warn: list[str] | None = None,
        ignore: list[str] | None = None,
        partition_table: Literal["normal", "strict", "off"] = "normal",
    ) -> None:
        if formats is not None and not formats:
            raise ValueError("'formats' is empty, which no image could meet; leave it out for the usual ones")
        self.formats = ALLOWED if formats is None else tuple(DISK_FORMATS.get(name, name) for name in formats)
        for name in self.formats:
            if name not in LISTABLE:
                raise ValueError(f"'formats' names no format: {name!r:.60}; there are: {', '.join(sorted(LISTABLE))}")
        self.worth = {code: worth for code, (worth, _) in CODES.items()}
        self.worth["partition-table"] = {"normal": WARN, "strict": REFUSE, "off": PASS}[partition_table]
        named: set[str] = set()
        for key, worth, codes in (("refuse", REFUSE, refuse), ("warn", WARN, warn), ("ignore", PASS, ignore)):
            for code in codes or ():
                if code not in CODES:
                    there = ", ".join(CODES)
                    raise ValueError(f"{key!r} names a finding that does not exist, {code!r:.60}; there are: {there}")
                if code in named:
                    raise ValueError(f"the finding {code!r} is named twice among 'refuse', 'warn' and 'ignore'")
                named.add(code)
                self.worth[code] = worth

    def inspect(self, image: Image) -> dict[str, str | int]:
        """Raises Reject and Incomplete as told above; returns the properties."""
        examination = Examination(FORMATS, image.size)
        seen = 0
        for chunk in image:
            # Judged at the same places however the chunks fall: else, of two findings, now one and now the other
            # would come first.
            at = 0
            while at < len(chunk):
                part = min(len(chunk) - at, STEP_BYTES - examination.position % STEP_BYTES)
                examination.feed(chunk[at : at + part])
                at += part
                if examination.position % STEP_BYTES:
                    continue
                if examination.count != seen:
                    seen = examination.count
                    self._refuse(examination.findings, ImageFormat(examination).name)
                if examination.position == STEP_BYTES:
                    self._compare_early(image, ImageFormat(examination))
        examination.finish()
        self.judge(image, examination)
        return properties(examination)

    def judge(self, image: Image, examination: Examination) -> None:
        """What the whole image is worth. Raises Reject and Incomplete as told above."""
        if not examination.position:
            raise Reject("empty", "the image is empty: not a single byte arrived; upload it again")
        found = ImageFormat(examination)
        self._refuse(examination.findings, found.name)
        self._compare(image, found)
        self._doubt(examination.findings, found.name)

    def _compare_early(self, image: Image, found: ImageFormat) -> None:
        """What the beginning already contradicts need not be read to its end."""
        if found.disk_format not in OPEN:
            self._compare(image, found)
        elif image.disk_format not in ("vhd", "vpc"):
            agree(image.disk_format, image.container_format, found)

    def _compare(self, image: Image, found: ImageFormat) -> None:
        agree(image.disk_format, image.container_format, found)
        if found.listed_as not in self.formats:
            raise Reject(
                "format-not-allowed",
                f"the image is {found.name}, which is not accepted here; what is: {', '.join(self.formats)}",
            )

    def _refuse(self, findings: list[Finding], name: str) -> None:
        for finding in sorted(findings, key=_rank):
            if self.worth[finding.code] == REFUSE and finding.code not in HALF_READ:
                self.log.info("%s: %s: %s", finding.format, finding.code, finding.detail)
                code = "format-ambiguous" if finding.code == "ambiguous" else f"unsafe-{finding.code}"
                raise Reject(code, f"the {name} image is not safe: {CODES[finding.code][1]}")

    def _doubt(self, findings: list[Finding], name: str) -> None:
        findings = sorted(findings, key=_rank)
        for finding in findings:
            if self.worth[finding.code] == REFUSE:
                self.log.info("%s: %s: %s", finding.format, finding.code, finding.detail)
                raise Incomplete(HALF_READ[finding.code], f"the {name} image: {CODES[finding.code][1]}")
        warned = set()
        for finding in findings:
            self.log.info("%s: %s: %s", finding.format, finding.code, finding.detail)
            if self.worth[finding.code] == WARN and finding.code not in warned:
                warned.add(finding.code)
                self.warn(finding.code, f"the {name} image: {CODES[finding.code][1]} ({finding.detail})"[:1000])


def _rank(finding: Finding) -> tuple[int, int, str, str]:
    """Of several findings, those that name other files are told first."""
    where = -1 if finding.offset is None else finding.offset
    return list(CODES).index(finding.code), where, finding.format, finding.detail


def properties(examination: Examination) -> dict[str, str | int]:
    """What is told of an image that was found to be in order."""
    found = ImageFormat(examination)
    told: dict[str, str | int | None] = {
        "disk_format": found.disk_format,
        "detected": found.name if found.name != found.disk_format else None,
        "variant": found.match.variant[:MOST_VARIANT] if found.match else None,
        "virtual_size": found.virtual_size if (found.virtual_size or 0) <= MOST_SIZE else None,
        "partition_table": found.partition_table,
        "container_format": found.container_format,
    }
    return {key: value for key, value in told.items() if value is not None and value != ""}


def agree(declared: str | None, container: str | None, found: ImageFormat) -> None:
    """Raise Reject if what was declared is not what was found, Incomplete if the two cannot be compared."""
    name = found.name
    if container == "compressed" and name not in (*COMPRESSIONS, "zip"):
        raise Reject("format-mismatch", f"the image is declared as compressed, but it is {name}")
    if container in ("ova", "docker") and name not in ("ova", "tar"):
        raise Reject("format-mismatch", f"the image is declared as {container}, a tar archive, but it is {name}")
    if declared is None or container in WRAPPING:
        return
    wanted = DISK_FORMATS.get(declared, declared)
    if wanted == found.disk_format:
        return
    if wanted == "raw" and (found.disk_format == "luks" or (found.disk_format == "iso" and found.partition_table)):
        return  # an encrypted volume has no other name in Glance; a hybrid ISO is a disk, too
    if declared not in DISK_FORMATS:
        raise Incomplete(
            "format-unknown",
            f"the image is declared as {declared:.40}, which cannot be compared with its bytes: {name}",
        )
    raise Reject(
        "format-mismatch",
        f"the image is declared as {declared}, but it is {name}; declare what it is, or convert it, "
        "and upload it again",
    )
