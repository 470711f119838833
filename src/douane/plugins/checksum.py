"""The inspector `checksum`: compare the image with an expected digest and length."""

from __future__ import annotations

from douane_plugin import Inspector, Reject
from douane_plugin._units import parse_size, show_exact_size

from . import _sums
from ._literal import Literal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from douane_plugin import Image

HEX_DIGITS = _sums.DIGITS
"""The algorithms, and the hexadecimal digits of their digests."""


class Checksum(Inspector):
    """Refuse an image with another digest or length than expected.

    ``use = "checksum"``. It reads the whole image. The digest is a setting, or stands in a list of digests by name
    (``SHA256SUMS``, of GNU's or BSD's form) that is granted as ``sums``. A list is only worth what its source is worth:
    `signature` verifies who signed it.

    Configuration:

    ``expected`` (str, none)
        The digest in hexadecimal digits, as ``sha256sum`` prints it.
    ``algorithm`` (``"sha256"``; or ``"md5"``, ``"sha1"``, ``"sha224"``, ``"sha384"``, ``"sha512"``)
        The algorithm of that digest. MD5 and SHA-1 detect accidents, not forgeries. Of a list, all digests of the
        image are compared; those by MD5 and SHA-1 only if the algorithm says so.
    ``size`` (int, or str such as ``"2GiB"``; none)
        The expected length. The declared length is compared with it before the first byte.
    ``name`` (str, the image's name)
        The name of the image in the list.

    Properties: ``algorithm``, ``digest``.

    Refuses with ``checksum-mismatch``, ``size-mismatch``, ``sums-not-listed`` and ``sums-ambiguous``. An image without
    a name is incomplete, with ``sums-no-name``.
    """

    def __init__(
        self,
        expected: str | None = None,
        algorithm: Literal["md5", "sha1", "sha224", "sha256", "sha384", "sha512"] = "sha256",
        size: int | str | None = None,
        name: str | None = None,
    ) -> None:
        digits = HEX_DIGITS.get(algorithm)
        if digits is None:
            raise ValueError(f"'algorithm' is one of {', '.join(HEX_DIGITS)}, not {algorithm!r:.60}")
        self.algorithm, self.name = algorithm, name
        self.size = None if size is None else parse_size(size, "size")
        self.lines = self._load_sums()
        self.expected: str | None = None
        if expected is None:
            if self.lines is None:
                raise ValueError("'expected' is missing: set the digest, or grant a list of digests as 'sums'")
            return
        if self.lines is not None:
            raise ValueError("'expected' and the grant 'sums' exclude each other; leave out one of them")
        self.expected = expected.strip().lower()
        if len(self.expected) != digits or not set(self.expected) <= set("0123456789abcdef"):
            raise ValueError(
                f"'expected' is a {algorithm} digest, {digits} hexadecimal digits; this has "
                f"{len(self.expected)} characters: {expected!r:.150}"
            )

    def _load_sums(self) -> list[_sums.Line] | None:
        """The lines of the granted list; None without the grant. Raises ValueError for the operator."""
        try:
            file = self.grant("sums")
        except LookupError:
            return None
        data = file.read(_sums.MAX_BYTES + 1)
        lines = _sums.parse(data)
        if len(data) > _sums.MAX_BYTES or not lines:
            raise ValueError(
                f"the file that is granted as 'sums' has no line with a digest and a name, or more than "
                f"{_sums.MAX_BYTES} bytes"
            )
        return lines

    def inspect(self, image: Image) -> dict[str, str | int]:
        """Return the properties. Raises Reject or Incomplete."""
        import hashlib

        if image.size is not None:
            self._compare_size(image.size)
        expected = self._expected(image.name)
        # usedforsecurity: a FIPS build would refuse MD5 otherwise, and here it is the operator's choice
        digests = {algorithm: hashlib.new(algorithm, usedforsecurity=False) for algorithm in expected}
        for chunk in image:
            for digest in digests.values():
                digest.update(chunk)
            if self.size is not None and image.offset > self.size:
                break
        self._compare_size(image.offset)
        for algorithm, digits in expected.items():
            actual = digests[algorithm].hexdigest()
            if actual != digits:
                raise Reject(
                    "checksum-mismatch",
                    f"the {algorithm} digest of the image is {actual}, but {digits} was expected; "
                    "it is damaged or another image",
                )
        algorithm = self.algorithm if self.algorithm in expected else max(expected)
        return {"algorithm": algorithm, "digest": expected[algorithm]}

    def _expected(self, name: str | None) -> dict[str, str]:
        """The expected digests by algorithm. Raises Reject or Incomplete."""
        if self.expected is not None:
            return {self.algorithm: self.expected}
        algorithms = (*(name for name in _sums.DIGITS if name not in _sums.WEAK), self.algorithm)
        lines = _sums.lines_of(self.lines or [], self.name or name, algorithms)
        return {line.algorithm: line.digest for line in lines}

    def _compare_size(self, size: int) -> None:
        if self.size is None or size == self.size:
            return
        raise Reject(
            "size-mismatch",
            f"the image has {show_exact_size(size)}{' or more' if size > self.size else ''}, but "
            f"{show_exact_size(self.size)} was expected; it is damaged or another image",
        )
