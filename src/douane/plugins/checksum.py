"""The inspector `checksum`: the bytes that arrived are those that somebody has a digest of."""

from __future__ import annotations

from douane_plugin import Inspector, Reject
from douane_plugin._units import parse_size, show_exact_size

from ._literal import Literal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from douane_plugin import Image

HEX_DIGITS = {"md5": 32, "sha1": 40, "sha224": 56, "sha256": 64, "sha384": 96, "sha512": 128}
"""The algorithms, and how many hexadecimal digits a digest of each has."""


class Checksum(Inspector):
    """Refuse an image whose digest, or length, is not the expected one.

    ``use = "checksum"``. It reads the whole image.

    Configuration:

    ``expected`` (str, required)
        The digest in hexadecimal digits, as ``sha256sum`` and a vendor's list have it.
    ``algorithm`` (``"sha256"``; or ``"md5"``, ``"sha1"``, ``"sha224"``, ``"sha384"``, ``"sha512"``)
        What it is a digest by. MD5 and SHA-1 find accidents, not forgeries.
    ``size`` (int, or str such as ``"2GiB"``; none)
        The expected length. It is compared with the length told by the sender, before the first byte.

    Properties: ``algorithm``, ``digest``.

    Refuses with ``checksum-mismatch`` and ``size-mismatch``.
    """

    def __init__(
        self,
        expected: str,
        algorithm: Literal["md5", "sha1", "sha224", "sha256", "sha384", "sha512"] = "sha256",
        size: int | str | None = None,
    ) -> None:
        digits = HEX_DIGITS.get(algorithm)
        if digits is None:
            raise ValueError(f"'algorithm' is one of {', '.join(HEX_DIGITS)}, not {algorithm!r:.60}")
        self.expected = expected.strip().lower()
        if len(self.expected) != digits or not set(self.expected) <= set("0123456789abcdef"):
            raise ValueError(
                f"'expected' is a {algorithm} digest, {digits} hexadecimal digits; this has "
                f"{len(self.expected)} characters: {expected!r:.150}"
            )
        self.algorithm = algorithm
        self.size = None if size is None else parse_size(size, "size")

    def inspect(self, image: Image) -> dict[str, str | int]:
        """Raises Reject as told above; returns the properties."""
        import hashlib

        if image.size is not None:
            self._compare_size(image.size)
        # usedforsecurity: a FIPS build would refuse MD5 otherwise, and here it is the operator's choice
        digest = hashlib.new(self.algorithm, usedforsecurity=False)
        for chunk in image:
            digest.update(chunk)
            if self.size is not None and image.offset > self.size:
                break
        self._compare_size(image.offset)
        found = digest.hexdigest()
        if found != self.expected:
            raise Reject(
                "checksum-mismatch",
                f"the {self.algorithm} digest of the image is {found}, and {self.expected} was expected; "
                "it is damaged or another image",
            )
        return {"algorithm": self.algorithm, "digest": found}

    def _compare_size(self, size: int) -> None:
        if self.size is None or size == self.size:
            return
        raise Reject(
            "size-mismatch",
            f"the image has {show_exact_size(size)}{' or more' if size > self.size else ''}, and "
            f"{show_exact_size(self.size)} was expected; it is damaged or another image",
        )
