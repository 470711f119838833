"""What the manifest of an appliance and its signature are worth to the operator."""

from __future__ import annotations

from douane_plugin import Reject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.x509 import Certificate

    from .appliance import Appliance

    Warn = Callable[[str, str], None]

_MAX_TEXT = 1024


def check_manifest(appliance: Appliance, policy: str, warn: Warn, *, signed: bool) -> str:
    """Compare the digests; return the property `manifest`. Raises Reject."""
    if policy == "ignore":
        return "ignored"
    if appliance.manifest is None:
        if policy == "required":
            raise Reject(
                "ova-manifest",
                "the appliance has no manifest (.mf), and this site demands one; export it with a manifest",
            )
        return "none"
    algorithms = appliance.compare_digests()
    missing = appliance.missing_in_manifest()
    if not missing:
        return f"{algorithms} verified"
    names = ", ".join(map(printable, missing[:4]))
    if signed or policy == "required":
        raise Reject("ova-manifest", f"the manifest does not list {names}; export the appliance again")
    warn("ova-manifest-incomplete", f"the manifest does not list {names}, so they were not verified")
    return f"{algorithms} verified, incomplete" if algorithms else "incomplete"


def check_signature(
    appliance: Appliance, policy: str, anchors: list[Certificate] | None, warn: Warn
) -> dict[str, int | str]:
    """Verify the signature; return the properties `signature` and `signer`. Raises Reject."""
    if policy == "ignore":
        return {"signature": "ignored"}
    if appliance.certificate is None:
        if policy == "required":
            raise Reject("ova-unsigned", "the appliance is not signed (.cert), and this site demands it; get it signed")
        return {"signature": "none"}
    if appliance.manifest is None:
        raise Reject(
            "ova-signature",
            "the appliance has a certificate, but no manifest that it could have signed; pack the manifest (.mf) with "
            "it",
        )
    if not _has_cryptography():
        warn("ova-signature-unchecked", "the appliance is signed; its signature was not verified")
        return {"signature": "unchecked"}
    from . import certificate, trust

    signature = certificate.parse(appliance.certificate)
    certificate.check(signature, appliance.manifest, appliance.manifest_name)
    if anchors is None:
        warn(
            "ova-signature-untrusted",
            "the appliance is signed, and was not changed since; this site does not say whom it trusts to sign",
        )
        return {"signature": "untrusted"}
    trust.trace(signature.certificates, anchors)
    if signature.algorithm == "sha1":
        warn("ova-signature-weak", "the appliance is signed with SHA-1, which can be forged; get it signed anew")
    signer = signature.certificates[0].subject.rfc4514_string()
    return {"signature": "verified", "signer": printable(signer)}


def printable(text: str) -> str:
    """A name from the archive as a property may have it: without control characters, and valid UTF-8."""
    decoded = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else " " for letter in decoded)[:_MAX_TEXT]


def _has_cryptography() -> bool:
    from importlib.util import find_spec

    return find_spec("cryptography") is not None
