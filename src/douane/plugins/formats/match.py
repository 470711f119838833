"""A format that the bytes of an image match, with its fields and findings."""

from .data_area import DataArea

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from .requests import Reader

    class InnerExamination(Protocol):
        """The examination of an image inside another: see :class:`examination.Examination`."""

        @property
        def matches(self) -> "list[Match]": ...
        @property
        def contained(self) -> "list[Match]": ...
        @property
        def joint_findings(self) -> "list[Finding]": ...
        @property
        def findings(self) -> "list[Finding]": ...
        @property
        def count(self) -> int: ...
        @property
        def position(self) -> int: ...
        @property
        def ended(self) -> bool: ...
        @property
        def virtual_size(self) -> int | None: ...
        def feed(self, chunk: memoryview) -> None: ...
        def skippable(self) -> int: ...
        def skip(self, length: int) -> None: ...
        def finish(self) -> None: ...


MAX_FINDINGS = 64
MAX_FIELDS = 200


class Finding:
    """Something that may make an image unsafe.

    `code` is a key of :data:`codes.CODES`; `format` the name of the format; `detail` says exactly what, as a clause
    ("it has two descriptors"); `offset` is in bytes, or None; `help` says what helps, if that is not what the code
    says; `kind` is that of the format.
    """

    __slots__ = ("code", "detail", "format", "help", "kind", "offset")

    def __init__(
        self, code: str, format: str, detail: str, offset: int | None = None, *, help: str = "", kind: str = "disk"
    ) -> None:
        self.code, self.format, self.detail, self.offset = code, format, detail, offset
        self.help, self.kind = help, kind

    def __repr__(self) -> str:
        where = "" if self.offset is None else f" at {self.offset}"
        return f"<{self.format}: {self.code}{where}: {self.detail}>"


class Field:
    """A field of a header: `name`, `value` as read, `offset` in bytes or None."""

    __slots__ = ("name", "offset", "value")

    def __init__(self, name: str, value: "int | str", offset: int | None = None) -> None:
        self.name, self.value, self.offset = name, value, offset


class Match:
    """A format that the image can be read as; the format's reader fills it in while the bytes pass.

    `name`, `disk_format` and `kind` are those of :class:`base.Format`, or more precise ones set by the reader. `size`
    is the length of the image in bytes, None while unknown; it is known once a :class:`requests.Tail` is answered.
    """

    def __init__(self, name: str, disk_format: str, kind: str, size: int | None, at: str) -> None:
        self.name = name
        self.disk_format = disk_format
        self.kind = kind
        self.size = size
        self.at = at
        """Where the format was recognised: ``"start"`` or ``"end"``."""
        self.virtual_size: int | None = None
        """Bytes of the disk that a guest sees, as the header states it; None if the format states no size."""
        self.variant = ""
        """The variant of the format: ``streamOptimized``, ``v3``."""
        self.qemu_options: dict[str, str] = {}
        """Options with which qemu reads this disk, and not another that its rules would choose."""
        self.findings: list[Finding] = []
        self.fields: list[Field] = []
        self.inner: list[tuple[str, InnerExamination]] = []
        """The images in an archive: the member's name, and its examination."""
        self.data = DataArea(size)
        """Where a container keeps its content, as far as its tables have been read."""
        self.signatures: tuple[int, ...] = (0,)
        """The offsets of the bytes by which the format was recognised, if they are not in the header of the image."""
        self.is_rooted = False
        """True if an optical disc has its root directory at the sector that its volume descriptor states."""
        self._reach = 0
        self._reaches: list[tuple[int, str]] = []
        self._reaches_outside = False
        self._spawned: list[Reader] = []

    @property
    def total(self) -> int:
        """Length of the image in bytes. Raises ValueError while it is unknown."""
        if self.size is None:
            raise ValueError("the image has not ended yet")
        return self.size

    def find(self, code: str, detail: str, offset: int | None = None, *, help: str = "") -> None:
        """Add a finding; after :data:`MAX_FINDINGS` of them only the first of each further code.

        `detail` is a clause: the field, its value, the value that would be right. Show bytes of the image with ``!r``,
        and cut them. With `help`, the clause and the help are all that the tenant is told (:func:`codes.sentence`).
        """
        if len(self.findings) < MAX_FINDINGS or not any(finding.code == code for finding in self.findings):
            self.findings.append(Finding(code, self.name, detail[:400], offset, help=help, kind=self.kind))

    def note(self, name: str, value: "int | str", offset: int | None = None) -> None:
        """Add a field that was read; text is cut at 200 characters."""
        if len(self.fields) < MAX_FIELDS:
            self.fields.append(Field(name, value[:200] if isinstance(value, str) else value, offset))

    def must_reach(self, end: int, what: str) -> None:
        """Add the finding ``outside-file`` if the image is shorter than `end` bytes, where `what` ends.

        The finding is added at once if the size is known, otherwise when the image ends; only for the first structure
        outside.
        """
        if end <= self._reach:
            return  # an earlier structure reaches as far
        self._reach = end
        if self.size is None:
            if len(self._reaches) < MAX_FINDINGS:
                self._reaches.append((end, what))
        elif end > self.size and not self._reaches_outside:
            self._reaches_outside = True
            self.find("outside-file", f"{what} ends at {end}, but the image has {self.size} bytes")

    def spawn(self, reader: "Reader") -> None:
        """Run another reader of the image beside this one, for structures whose order is not known in advance."""
        self._spawned.append(reader)

    def take_spawned(self) -> "list[Reader]":
        """The readers of :meth:`spawn` since the last call."""
        spawned, self._spawned = self._spawned, []
        return spawned

    def end(self, total: int) -> None:
        """Set the size at the end of the image, and add the findings that waited for it."""
        if self.size is not None and self.size == total:
            return
        self.size = total
        for end, what in self._reaches:
            if end > total:
                self.find("outside-file", f"{what} ends at {end}, but the image has {total} bytes")
                return
