"""The path from an appliance's signer to a certificate that the operator trusts."""

from __future__ import annotations

from douane.plugins import _x509
from douane_plugin import Reject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cryptography.x509 import Certificate


def trace(certificates: list[Certificate], anchors: list[Certificate]) -> Certificate:
    """Return the certificate in `anchors` to which the first of `certificates` leads. Raises Reject."""
    signer = _x509.name_of(certificates[0])
    try:
        return _x509.trace(certificates, anchors)
    except _x509.Expired as error:
        raise Reject("ova-expired", f"the signer's certificate {signer} {error}; get it signed again") from error
    except _x509.Untrusted as error:
        raise Reject(
            "ova-untrusted",
            f"this site does not trust the signer of the appliance: {signer} {error}; ask the operator",
        ) from error
