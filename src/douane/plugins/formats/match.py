"""What is found out about one format that an image can be read as."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from .requests import Reader

    class InnerExamination(Protocol):
        """The examination of an image inside another: see :class:`examination.Examination`."""

        @property
        def matches(self) -> "list[Match]": ...
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
        def feed(self, chunk: memoryview) -> None: ...
        def skippable(self) -> int: ...
        def skip(self, length: int) -> None: ...
        def finish(self) -> None: ...


MAX_FINDINGS = 64
MAX_FIELDS = 200


class Finding:
    """Something that may make an image unsafe. Attributes: `code`, one of :data:`codes.CODES`; `format`, the name of
    the format in which it was found; `detail`, what exactly, for the operator; `offset` in bytes, or None."""

    __slots__ = ("code", "detail", "format", "offset")

    def __init__(self, code: str, format: str, detail: str, offset: int | None = None) -> None:
        self.code, self.format, self.detail, self.offset = code, format, detail, offset

    def __repr__(self) -> str:
        where = "" if self.offset is None else f" at {self.offset}"
        return f"<{self.format}: {self.code}{where}: {self.detail}>"


class Field:
    """A field of a header: `name`, `value` as read, `offset` in bytes or None."""

    __slots__ = ("name", "offset", "value")

    def __init__(self, name: str, value: "int | str", offset: int | None = None) -> None:
        self.name, self.value, self.offset = name, value, offset


class Match:
    """One format that the image can be read as, filled in by its reader while the bytes go by.

    `name` is ours (``vmdk-descriptor``); `disk_format` is Glance's (``vmdk``); `kind` is one of ``disk``, ``archive``,
    ``compressed``, ``content`` (what a raw disk begins with: a partition table, a file system, text) and ``other``.
    `size` is the length of the image in bytes, None where that is not known before the end; `total` is the same, and
    always known once a :class:`requests.Tail` has been sent.
    """

    def __init__(self, name: str, disk_format: str, kind: str, size: int | None, at: str) -> None:
        self.name = name
        self.disk_format = disk_format
        self.kind = kind
        self.size = size
        self.at = at
        """Where it was recognised: ``"start"`` or ``"end"``."""
        self.virtual_size: int | None = None
        """Bytes of the disk as a guest sees it, by the header; None where the format has no such thing."""
        self.variant = ""
        """Which kind of the format: ``streamOptimized``, ``v3``."""
        self.findings: list[Finding] = []
        self.fields: list[Field] = []
        self.inner: list[tuple[str, InnerExamination]] = []
        """What stands in an archive: the member's name, and what it was found to be."""
        self.reach = 0
        self._reaches: list[tuple[int, str]] = []
        self._outside = False
        self._spawned: list[Reader] = []

    @property
    def total(self) -> int:
        """Length of the image in bytes. Raises ValueError while that is not known."""
        if self.size is None:
            raise ValueError("the image has not ended yet")
        return self.size

    def find(self, code: str, detail: str, offset: int | None = None) -> None:
        """Add a finding; beyond :data:`MAX_FINDINGS` only one of each code that is not there yet is kept.

        `detail` is for the operator: the field, its value, what would be right. Bytes of the image in it must be
        shown with ``!r`` and cut.
        """
        if len(self.findings) < MAX_FINDINGS or not any(one.code == code for one in self.findings):
            self.findings.append(Finding(code, self.name, detail[:400], offset))

    def note(self, name: str, value: "int | str", offset: int | None = None) -> None:
        """Add a field that was read; text is cut at 200 characters."""
        if len(self.fields) < MAX_FIELDS:
            self.fields.append(Field(name, value[:200] if isinstance(value, str) else value, offset))

    def must_reach(self, end: int, what: str) -> None:
        """The image must have at least `end` bytes, for `what` lies before that: else the finding ``outside-file``.

        Told at once where the size is known, else when the image has ended; only of the first.
        """
        if end <= self.reach:
            return  # where this one is outside, an earlier one was
        self.reach = end
        if self.size is None:
            if len(self._reaches) < MAX_FINDINGS:
                self._reaches.append((end, what))
        elif end > self.size and not self._outside:
            self._outside = True
            self.find("outside-file", f"{what} reaches to {end}, and the image has {self.size} bytes")

    def spawn(self, reader: "Reader") -> None:
        """Let another reader of the same image run beside this one: for structures in an order not known before."""
        self._spawned.append(reader)

    def take_spawned(self) -> "list[Reader]":
        """Those of :meth:`spawn` since the last call."""
        spawned, self._spawned = self._spawned, []
        return spawned

    def ended(self, total: int) -> None:
        """The image has ended with `total` bytes."""
        if self.size is not None and self.size == total:
            return
        self.size = total
        for end, what in self._reaches:
            if end > total:
                self.find("outside-file", f"{what} reaches to {end}, and the image has {total} bytes")
                return
