"""One signature that is verified while the image arrives."""

from __future__ import annotations

from douane_plugin import Reject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Check:
    """A signature of the image.

    `algorithms` are the digests that it needs, by their names in hashlib. A signature of the bytes themselves has
    `update` as well.
    """

    kind = ""
    """``openstack``, ``minisign``, ``gpg`` or ``sigstore``; with ``-sums`` if it signs a list that has the image."""

    algorithms: tuple[str, ...] = ()

    update: Callable[[bytes | memoryview], None] | None = None
    """Takes all bytes in order."""

    def finish(self, digests: Mapping[str, bytes]) -> str:
        """Compare with the digests of the whole image; return the signer. Raises Reject."""
        raise NotImplementedError

    def close(self) -> None:
        """End what is still open, if the image was not read to its end."""


def invalid(detail: str) -> Reject:
    """The refusal of a signature that does not fit; `detail` is a clause."""
    return Reject(
        "signature-invalid",
        f"the signature of the image is wrong: {detail}; upload the image that was signed, or get this one signed",
    )


def untrusted(detail: str) -> Reject:
    """The refusal of a signer; `detail` is a clause."""
    return Reject(
        "signature-untrusted", f"this site does not trust the signer of the image: {detail}; ask the operator"
    )


def expired(detail: str) -> Reject:
    """The refusal of a signature whose time is over; `detail` is a clause."""
    return Reject(
        "signature-expired", f"the signature of the image is not valid any more: {detail}; get it signed again"
    )


def weak(detail: str) -> Reject:
    """The refusal of an algorithm that can be forged; `detail` is a clause."""
    return Reject("signature-weak", f"the signature of the image can be forged: {detail}; get it signed again")
