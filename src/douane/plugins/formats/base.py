"""The base class of formats.

A format is one module, ``formats/NAME.py``, with a subclass of :class:`Format`. The subclass states

- `name` and `about` for docs/formats.md, and `other_names` if its reader distinguishes more;
- `disk_format` and `declared_as` in Glance's terms, its `kind`, and whether the plugin `format` has it `allowed`;
- how its images begin (`signatures`, or :meth:`Format.begins`) or end (:meth:`Format.ends`);
- a reader (:meth:`Format.read`): a generator that yields `requests`, fills in the :class:`match.Match`, and adds
  findings. Codes of findings that formats share are in `codes.py`, others in `codes` of the class.

One line in `registry.py` registers the format: ``from .NAME import Name``. The settings of `format` and `limits`,
``douane inspect`` and the disks that `convert` reads derive from the attributes. Tests demand a sample in
tests/fuzz/seeds and a row in docs/formats.md.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

REFUSE, WARN, PASS = "refuse", "warn", "pass"
"""What a finding is worth."""


class Format:
    """A format. Instances have no state: the state of an image is in its :class:`Match`."""

    name = ""
    """The name in reports (``vmdk``)."""

    about = ""
    """A few words for the table in docs/formats.md."""

    other_names: "tuple[tuple[str, str], ...]" = ()
    """Names that the reader gives a match instead of `name` (``vmdk-descriptor``), each with words for the table."""

    disk_format = "raw"
    """Glance's name of the format."""

    declared_as: "tuple[str, ...]" = ()
    """The disk formats that a sender may declare for such an image; any other declaration is refused. A declared format
    that no class lists cannot be compared with the bytes."""

    kind = "disk"
    """``disk``, ``archive``, ``compressed``, ``content`` (of a raw disk: a partition table, a file system, text) or
    ``other``."""

    allowed = False
    """True if the plugin `format` accepts it by default."""

    qemu_driver = ""
    """The driver of qemu-img with which `convert` reads it; empty if `convert` does not."""

    signatures: "tuple[tuple[int, bytes], ...]" = ()
    """Offset and bytes of signatures in the first :data:`HEAD_BYTES`, one of which an image must have."""

    codes: "tuple[tuple[str, str, str], ...]" = ()
    """Codes of findings that no other format has, as in :data:`codes.CODES`: code, worth, text for the tenant."""

    decoder = ""
    """The module with `unpack(source, limits)` by which the transform `decompress` unpacks it; empty if it does not."""

    def begins(self, head: bytes) -> bool:
        """True if any program in use reads an image that begins with `head` as this format.

        `head` has :data:`HEAD_BYTES` bytes, or all bytes of a shorter image, even none.
        """
        return any(head.startswith(magic, offset) for offset, magic in self.signatures)

    def ends(self, tail: bytes, total: int) -> bool:
        """True if any program in use reads an image that ends with `tail` as this format. Called if :meth:`begins` is
        false; `tail` has the last :data:`requests.TAIL_BYTES` of `total` bytes.
        """
        return False

    def read(self, match: "Match") -> "Reader":
        """Request the structures of the image and fill in `match`, whose `at` is ``"end"`` after :meth:`ends`."""
        raise NotImplementedError
