"""What a format provides.

A format is one module, ``formats/NAME.py``, with a subclass of :class:`Format` that states

- `name` and `about`, which docs/formats.md lists, and names and lines for what its reader distinguishes;
- in Glance's terms its `disk_format`, and as what a sender may declare it; its `kind`; whether it is `allowed`;
- how images begin (`signatures`, or :meth:`Format.begins`) or end (:meth:`Format.ends`);
- a reader (:meth:`Format.read`): a generator that yields `requests`, fills in the :class:`match.Match`, and reports
  findings: codes that formats share are in `codes.py`, others in its own `codes`.

It is registered by one line in `registry`: ``from .NAME import Name``. The settings of `format` and `limits`, ``douane
inspect``, and the disks that `convert` reads derive from these attributes. A sample in tests/formats/corpus and a row
in docs/formats.md are demanded by tests.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

REFUSE, WARN, PASS = "refuse", "warn", "pass"
"""What a finding is worth."""

HEAD_BYTES = 72 << 10
"""The first bytes, by which formats are recognised: the last of them are btrfs' superblock at 64 KiB, and UDF's
volume recognition sequence, which ends by then in every image that was seen."""


class Format:
    """A format. Instances have no state: an image's is in its :class:`Match`."""

    name = ""
    """Our name for it (``vmdk-descriptor``)."""

    about = ""
    """What it is, in a few words, for the table of docs/formats.md."""

    other_names: "tuple[tuple[str, str], ...]" = ()
    """Names that a reader sets in a match instead of `name`, each with its own line for the table."""

    disk_format = "raw"
    """Glance's name for it (``vmdk``)."""

    declared_as: "tuple[str, ...]" = ()
    """Disk formats by which a sender may declare it. Declared as another, it is refused; a disk format that no format
    lists cannot be compared with the bytes."""

    kind = "disk"
    """``disk``, ``archive``, ``compressed``, ``content`` (what a raw disk begins with: a partition table, a file
    system, text) or ``other``. A reader may set a more precise one in its match."""

    allowed = False
    """True if the plugin `format` lets it pass by default."""

    qemu_driver = ""
    """The driver with which qemu-img reads it for `convert`; empty if it must not."""

    signatures: "tuple[tuple[int, bytes], ...]" = ()
    """Offset and bytes of each signature in the first :data:`HEAD_BYTES`; one of them is enough."""

    codes: "tuple[tuple[str, str, str], ...]" = ()
    """Findings that no other format has, as in :data:`codes.CODES`: code, worth, text for the tenant."""

    decoder = ""
    """The module with `unpack(source, limits)`, of a format that the transform `decompress` unpacks."""

    def begins(self, head: bytes) -> bool:
        """True if some program in use reads an image that begins with `head` as this format.

        `head` has :data:`HEAD_BYTES` bytes, fewer if the image is shorter, which may be 0.
        """
        return any(head.startswith(magic, offset) for offset, magic in self.signatures)

    def ends(self, tail: bytes, total: int) -> bool:
        """As :meth:`begins`, for formats that are recognised by their end. Called only if :meth:`begins` is false.

        `tail` has the last :data:`requests.TAIL_BYTES` of `total` bytes.
        """
        return False

    def read(self, match: "Match") -> "Reader":
        """Yield requests for the structures of the image, and fill in `match`.

        `match.at` is ``"end"`` if the image was recognised by :meth:`ends`.
        """
        raise NotImplementedError
