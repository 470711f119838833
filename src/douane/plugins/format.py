"""The inspector `format`: identify the image from its bytes, and refuse it if it is not safe to open."""

from __future__ import annotations

from douane_plugin import Incomplete, Inspector, Reject

from ._empty import may_be_empty, no_bytes
from ._image_format import ALLOWED, DISK_FORMATS, LISTABLE, UNPACKED, ImageFormat
from ._literal import Literal
from .formats.base import PASS, REFUSE, WARN
from .formats.codes import CODES, sentence
from .formats.examination import Examination
from .formats.member_names import quoted
from .formats.registry import FORMATS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from douane_plugin import Image

    from .formats.match import Finding, InnerExamination

WRAPPING = ("ova", "docker", "compressed")
"""Container formats with which a sender declares the disk format of the disk inside."""

HALF_READ = {"truncated": "truncated", "out-of-order": "format-unreadable", "reader-failed": "format-unreadable"}
"""Findings after which the rest of the image is unknown, and the codes that they are reported with."""

MAX_VARIANT = 200
"""Characters: the variant of a VMDK is any text in its description. A property has at most 4096."""

MAX_SIZE = (1 << 63) - 1
"""The largest size of a file (off_t), and of a property. A larger disk is refused, unless the operator allows it."""

MAX_FINDINGS, MAX_SUBJECT, MAX_DETAIL = 40, 100, 400
"""Findings in the document, and characters of each: a character takes at most 12 bytes of JSON, and documents may have
256 KiB."""

STEP_BYTES = 1 << 20
PROVISIONAL = ("raw", "iso")
"""Formats at the beginning of an image that may still be a VHD of fixed size: any disk with a footer at its end."""


class Format(Inspector):
    """Identify the image, and refuse it if it differs from what was declared or is not safe to open.

    ``use = "format"``. It sees the whole image, since some formats have their description at the end, and a file can be
    of several formats; most bytes are not examined. Without a declared format, any allowed format is accepted.

    Configuration:

    ``formats`` (list of str; those in the documentation)
        The allowed formats (docs/formats.md): of disks Glance's names, of archives and compressed images their own.
        Any other format is refused with ``format-not-allowed``.
    ``refuse``, ``warn``, ``ignore`` (lists of str, none)
        Codes of findings (docs/formats.md) that refuse, warn, or pass, instead of their default:
        ``refuse = ["encrypted"]``.
    ``partition_table`` (``"normal"``, ``"strict"`` or ``"off"``)
        Whether a partition table that contradicts itself warns, refuses, or passes.
    ``empty`` (``"warn"`` or ``"refuse"``)
        Whether an image without bytes passes with the warning ``empty`` if it is declared as ``raw`` (or as its
        synonyms) and ``bare``: nothing is there to be examined. Nova registers each snapshot of a server that boots
        from a volume so; the disk is a volume then. Any other image without bytes is refused.

    Properties: ``disk_format`` (Glance's name), and where they are known ``virtual_size`` (bytes), ``detected`` (more
    precise than the disk format: ``gpt``, ``gzip``, ``luks2``), ``variant``, ``container_format`` (``bare`` or ``ova``)
    and ``partition_table`` (``gpt`` or ``mbr``).

    Attaches the document ``findings``, if there are any: a list of objects with ``code``, ``worth`` (``refuse``,
    ``warn`` or ``pass``), ``subject``, ``detail`` and ``offset`` (bytes, or null).

    Refuses with ``empty``, ``format-mismatch`` (it differs from the declared format), ``format-not-allowed``,
    ``format-ambiguous`` (two formats in one file; an ISO image with a partition table is normal and passes), and for a
    finding with ``unsafe-`` and its code. Incomplete with ``truncated`` (it ends inside its own structures),
    ``format-unreadable`` (its structures cannot be read), ``format-unknown`` (the declared disk format cannot be
    compared with the bytes). Warns with the code of a finding.
    """

    def __init__(
        self,
        formats: list[str] | None = None,
        refuse: list[str] | None = None,
        warn: list[str] | None = None,
        ignore: list[str] | None = None,
        partition_table: Literal["normal", "strict", "off"] = "normal",
        empty: Literal["warn", "refuse"] = "warn",
    ) -> None:
        self.takes_empty = empty == "warn"
        if formats is not None and not formats:
            raise ValueError("'formats' is empty, so that no image could pass; leave it out for the default")
        self.formats = ALLOWED if formats is None else tuple(DISK_FORMATS.get(name, name) for name in formats)
        for name in self.formats:
            if name not in LISTABLE:
                raise ValueError(
                    f"'formats' has an unknown format, {name!r:.60}; known are: {', '.join(sorted(LISTABLE))}"
                )
        self.worth = {code: worth for code, (worth, _) in CODES.items()}
        self.worth["partition-table"] = {"normal": WARN, "strict": REFUSE, "off": PASS}[partition_table]
        listed: set[str] = set()
        for key, worth, codes in (("refuse", REFUSE, refuse), ("warn", WARN, warn), ("ignore", PASS, ignore)):
            for code in codes or ():
                if code not in CODES:
                    raise ValueError(f"{key!r} has an unknown finding, {code!r:.60}; known are: {', '.join(CODES)}")
                if code in listed:
                    raise ValueError(f"the finding {code!r} is listed twice in 'refuse', 'warn' and 'ignore'")
                listed.add(code)
                self.worth[code] = worth

    def inspect(self, image: Image) -> dict[str, str | int]:
        """Return the properties. Raises Reject and Incomplete."""
        examination = Examination(FORMATS, image.size)
        try:
            self._examine(image, examination)
            self.judge(image, examination)
        finally:
            self._attach_findings(examination)
        return properties(examination)

    def _examine(self, image: Image, examination: Examination) -> None:
        """Read the image. Raises Reject as soon as it cannot be accepted any more."""
        judged = 0
        for chunk in image:
            # Judge at the same offsets however the image is cut into chunks: otherwise the first of two findings
            # would depend on that.
            at = 0
            while at < len(chunk):
                part = min(len(chunk) - at, STEP_BYTES - examination.position % STEP_BYTES)
                examination.feed(chunk[at : at + part])
                at += part
                if examination.position % STEP_BYTES:
                    continue
                if examination.count != judged:
                    judged = examination.count
                    self._refuse(examination)
                if examination.position == STEP_BYTES:
                    self._compare_early(image, ImageFormat(examination))
        examination.finish()

    def _attach_findings(self, examination: Examination) -> None:
        """Attach the findings with their offsets, which sentences do not have."""
        rows = [
            {
                "code": finding.code,
                "worth": self.worth[finding.code],
                "subject": clean(subject[:MAX_SUBJECT]),
                "detail": clean(finding.detail[:MAX_DETAIL]),
                "offset": finding.offset,
            }
            for finding, subject in _by_rank(examination)[:MAX_FINDINGS]
        ]
        if rows:
            self.attach("findings", rows)

    def judge(self, image: Image, examination: Examination) -> None:
        """Judge the whole image. Raises Reject and Incomplete."""
        if not examination.position:
            if not (self.takes_empty and may_be_empty(image)):
                raise no_bytes()
            self.warn("empty", "the image has no bytes, so there was nothing to examine")
            return
        form = ImageFormat(examination)
        self._refuse(examination)
        self._compare(image, form)
        self._doubt(examination)

    def _compare_early(self, image: Image, form: ImageFormat) -> None:
        """Refuse an image whose beginning already differs from what was declared, before the rest is read."""
        if form.disk_format not in PROVISIONAL:
            self._compare(image, form)
        elif image.disk_format not in ("vhd", "vpc"):
            compare_declared(image.disk_format, image.container_format, form)

    def _compare(self, image: Image, form: ImageFormat) -> None:
        compare_declared(image.disk_format, image.container_format, form)
        if form.listed_as not in self.formats:
            raise Reject(
                "format-not-allowed",
                f"the image is {form.name}, which is not accepted here; upload it as one of: {', '.join(self.formats)}",
            )

    def _refuse(self, examination: Examination) -> None:
        for finding, subject in _by_rank(examination):
            if self.worth[finding.code] == REFUSE and finding.code not in HALF_READ:
                self.log.info("%s: %s: %s", finding.format, finding.code, finding.detail)
                code = "format-ambiguous" if finding.code == "ambiguous" else f"unsafe-{finding.code}"
                raise Reject(code, f"{subject} is not safe: {sentence(finding)}")

    def _doubt(self, examination: Examination) -> None:
        findings = _by_rank(examination)
        for finding, subject in findings:
            if self.worth[finding.code] == REFUSE:
                self.log.info("%s: %s: %s", finding.format, finding.code, finding.detail)
                raise Incomplete(HALF_READ[finding.code], f"{subject}: {sentence(finding)}")
        warned = set()
        for finding, subject in findings:
            self.log.info("%s: %s: %s", finding.format, finding.code, finding.detail)
            if self.worth[finding.code] == WARN and finding.code not in warned:
                warned.add(finding.code)
                self.warn(finding.code, f"{subject}: {sentence(finding)}"[:1000])


def clean(text: str) -> str:
    """Text from the image, without NUL and halves of surrogate pairs, which a document cannot hold."""
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def _by_rank(examination: Examination) -> list[tuple[Finding, str]]:
    """All findings with the images that they are of, in the order of reporting."""
    return sorted(_subjects(examination, ""), key=lambda entry: _rank(entry[0]))


def _subjects(examination: InnerExamination, place: str) -> Iterator[tuple[Finding, str]]:
    """Yield each finding, and the image that it is of: of a member of an archive, the member."""
    for finding in examination.joint_findings:
        yield finding, f"the image{place}"
    for match in examination.matches:
        subject = f"the {match.name} image{place}"
        for finding in match.findings:
            yield finding, subject
        for name, inner in match.inner:
            yield from _subjects(inner, f" {quoted(name)} in {subject}")


def _rank(finding: Finding) -> tuple[int, int, str, str]:
    """Sort by code, in the order of CODES, where findings that name other files come first."""
    offset = -1 if finding.offset is None else finding.offset
    return list(CODES).index(finding.code), offset, finding.format, finding.detail


def properties(examination: Examination) -> dict[str, str | int]:
    """The properties of an accepted image."""
    form = ImageFormat(examination)
    values: dict[str, str | int | None] = {
        "disk_format": form.disk_format,
        "detected": form.name if form.name != form.disk_format else None,
        "variant": form.match.variant[:MAX_VARIANT] if form.match else None,
        "virtual_size": form.virtual_size if (form.virtual_size or 0) <= MAX_SIZE else None,
        "partition_table": form.partition_table,
        "container_format": form.container_format,
    }
    return {key: value for key, value in values.items() if value is not None and value != ""}


def compare_declared(disk_format: str | None, container: str | None, form: ImageFormat) -> None:
    """Raise Reject if the image is not what was declared, Incomplete if the two cannot be compared."""
    name = form.name
    if container == "compressed" and name not in UNPACKED:
        raise Reject(
            "format-mismatch",
            f"the image is declared as compressed, but it is {name}; declare the container format bare, or compress it",
        )
    if container in ("ova", "docker") and name not in ("ova", "tar"):
        raise Reject(
            "format-mismatch",
            f"the image is declared as {container}, a tar archive, but it is {name}; declare the container format that "
            "it has, bare for a disk",
        )
    if disk_format is None or container in WRAPPING:
        return
    expected = DISK_FORMATS.get(disk_format, disk_format)
    if expected == form.disk_format:
        return
    if expected == "raw" and (form.disk_format == "luks" or (form.disk_format == "iso" and form.partition_table)):
        return  # an encrypted volume has no other name in Glance; a hybrid ISO is a disk, too
    if disk_format not in DISK_FORMATS:
        raise Incomplete(
            "format-unknown",
            f"the image is declared as {disk_format:.40}, which cannot be compared with its bytes: {name}",
        )
    raise Reject(
        "format-mismatch",
        f"the image is declared as {disk_format}, but it is {name}; declare what it is, or convert it, "
        "and upload it again",
    )
