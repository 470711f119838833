"""The inspector `limits`: the allowed sizes and formats of images."""

from __future__ import annotations

from douane_plugin import Incomplete, Inspector, Reject
from douane_plugin._units import parse_size, show_exact_size

from ._empty import may_be_empty, no_bytes
from ._image_format import DISK_FORMATS, ImageFormat
from .formats.codes import sentence
from .formats.examination import Examination
from .formats.registry import FORMATS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from douane_plugin import Image

HALF_READ = ("truncated", "out-of-order", "reader-failed")


class Limits(Inspector):
    """Refuse an image that is too large, or of a format that this site does not accept.

    ``use = "limits"``. Without a setting, every image is accepted.

    Configuration:

    ``max_size`` (int, or str such as ``"10GiB"``; none)
        Bytes of the image as it arrives. An image of known length is refused before its first byte.
    ``max_virtual_size`` (int or str; none)
        Bytes of the disk that a guest sees, from the image's header; of a raw or encrypted (LUKS) image, its length; of
        an OVA with one disk, from the header of that disk. A disk that is compressed in its OVA, or one of several, has
        no known size.
    ``formats`` (list of str; none)
        The allowed disk formats, by Glance's names, as identified from the bytes: ``["raw", "qcow2"]``. ``ami``,
        ``aki`` and ``ari`` are ``raw``. An OVA is ``raw`` too until a transform has extracted its disk.
    ``containers`` (list of str; none)
        The allowed container formats, as declared or as identified from the bytes (``ova``). An image of unknown
        container format passes as ``bare``.

    No properties.

    Refuses with ``too-large``, ``virtual-size-too-large``, ``format-not-allowed``, ``container-not-allowed``,
    and ``empty``. Incomplete with ``truncated``, ``out-of-order``, ``reader-failed``, ``format-ambiguous`` and
    ``virtual-size-unknown``, if the image cannot be compared with a limit. Whether the image is safe is judged by
    ``format``.
    """

    def __init__(
        self,
        max_size: int | str | None = None,
        max_virtual_size: int | str | None = None,
        formats: list[str] | None = None,
        containers: list[str] | None = None,
    ) -> None:
        self.max_size = None if max_size is None else parse_size(max_size, "max_size")
        self.max_virtual_size = None if max_virtual_size is None else parse_size(max_virtual_size, "max_virtual_size")
        for key, names in (("formats", formats), ("containers", containers)):
            if names is not None and not all(isinstance(name, str) and name for name in names):
                raise ValueError(f"{key!r} is a list of names like ['raw', 'qcow2'], not {names!r:.100}")
            if names is not None and not names:
                raise ValueError(f"{key!r} is empty, so that no image could pass; leave it out to allow all")
        self.formats = None if formats is None else [DISK_FORMATS.get(name, name) for name in formats]
        self.containers = containers

    def inspect(self, image: Image) -> None:
        """Raises Reject and Incomplete."""
        if image.size is not None:
            self._judge_size(image.size, is_total=True)
        if self.containers is not None and image.container_format is not None:
            self._judge_container(image.container_format)
        limits = (self.formats, self.max_virtual_size, self.containers)
        examination = Examination(FORMATS, image.size) if any(limit is not None for limit in limits) else None
        if examination is None and self.max_size is None:
            return
        for chunk in image:
            self._judge_size(image.offset, is_total=False)
            if examination is not None:
                examination.feed(chunk)
                self._judge_virtual_size(disk_bytes(examination))
        if examination is not None:
            examination.finish()
            self._judge(examination, image)

    def _judge_size(self, size: int, *, is_total: bool) -> None:
        if self.max_size is not None and size > self.max_size:
            has = show_exact_size(size) if is_total else f"more than {show_exact_size(self.max_size)}"
            raise Reject("too-large", f"the image has {has}; {show_exact_size(self.max_size)} is the most allowed here")

    def _judge_virtual_size(self, size: int | None) -> None:
        if self.max_virtual_size is not None and size is not None and size > self.max_virtual_size:
            raise Reject(
                "virtual-size-too-large",
                f"the image is a disk of {show_exact_size(size)}; {show_exact_size(self.max_virtual_size)} is the most "
                "allowed here",
            )

    def _judge(self, examination: Examination, image: Image) -> None:
        if not examination.position:
            if may_be_empty(image):
                return  # no limit is about nothing; whether such an image passes is judged by `format`
            raise no_bytes()
        form = ImageFormat(examination)
        if any(finding.code == "ambiguous" for finding in examination.joint_findings):
            names = " and as ".join(match.name for match in examination.matches)
            raise Incomplete("format-ambiguous", f"the image can be read as {names}; no limit fits it")
        container = form.container_format or "bare"
        if container == "ova" or image.container_format is None:
            self._judge_container(container)
        if self.formats is not None and form.disk_format not in self.formats:
            raise Reject(
                "format-not-allowed",
                f"the image is {form.disk_format}; convert it to one that is allowed here: {', '.join(self.formats)}",
            )
        if self.max_virtual_size is None:
            return
        self._judge_virtual_size(disk_bytes(examination))
        for finding in examination.findings:
            if finding.code in HALF_READ:
                raise Incomplete(
                    finding.code, f"the {form.name} image could not be measured: {sentence(finding)}"[:1000]
                )
        if form.virtual_size is None:
            is_packed = form.match is not None and form.match.kind in ("archive", "compressed")
            remedy = "unpack it, and upload the disk alone" if is_packed else "convert it to qcow2"
            raise Incomplete(
                "virtual-size-unknown", f"the virtual size of the {form.name} image cannot be determined; {remedy}"
            )

    def _judge_container(self, container: str) -> None:
        if self.containers is not None and container not in self.containers:
            raise Reject(
                "container-not-allowed",
                f"the image's container is {container:.40}; the container formats allowed here are "
                f"{', '.join(self.containers)}",
            )


def disk_bytes(examination: Examination) -> int | None:
    """Bytes of the disk that a guest sees, as far as known. A guest may get an encrypted disk as it is, as a raw image:
    all of the file, whatever its header says about the disk that it encrypts."""
    form = ImageFormat(examination)
    if form.disk_format == "luks":
        return max(examination.position, form.virtual_size or 0)
    return form.virtual_size
