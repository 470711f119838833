"""The inspector `checksum`: compare the image with an expected digest and length."""

from __future__ import annotations

from douane_plugin import Inspector, Reject
from douane_plugin._units import parse_size, show_exact_size

from ._literal import Literal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from douane_plugin import Image

HEX_DIGITS = {"md5": 32, "sha1": 40, "sha224": 56, "sha256": 64, "sha384": 96, "sha512": 128}
"""The algorithms, and the hexadecimal digits of their digests."""


class Checksum(Inspector):
    """Refuse an image with another digest or length than expected.

    ``use = "checksum"``. It reads the whole image.

    Configuration:

    ``expected`` (str, required)
        The digest in hexadecimal digits, as ``sha256sum`` prints it.
    ``algorithm`` (``"sha256"``; or ``"md5"``, ``"sha1"``, ``"sha224"``, ``"sha384"``, ``"sha512"``)
        The algorithm of that digest. MD5 and SHA-1 detect accidents, not forgeries.
    ``size`` (int, or str such as ``"2GiB"``; none)
        The expected length. The declared length is compared with it before the first byte.

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
        """Return the properties. Raises Reject."""
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
        actual = digest.hexdigest()
        if actual != self.expected:
            raise Reject(
                "checksum-mismatch",
                f"the {self.algorithm} digest of the image is {actual}, but {self.expected} was expected; "
                "it is damaged or another image",
            )
        return {"algorithm": self.algorithm, "digest": actual}

    def _compare_size(self, size: int) -> None:
        if self.size is None or size == self.size:
            return
        raise Reject(
            "size-mismatch",
            f"the image has {show_exact_size(size)}{' or more' if size > self.size else ''}, but "
            f"{show_exact_size(self.size)} was expected; it is damaged or another image",
        )
