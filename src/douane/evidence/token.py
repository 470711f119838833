"""A private key in a device or a program that speaks PKCS #11, named by a URI (RFC 7512).

``pkcs11:token=LABEL;object=LABEL?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=/etc/douane/pin``
"""

from __future__ import annotations

import functools
import os
import urllib.parse
from typing import Any

from douane.errors import EvidenceError, PlanError
from douane.plan.evidence_table import PKCS11
from douane.plugins.attestations.keys import fingerprint, hash_of_curve

from .key_rules import check_length, missing_library

_PATH_NAMES, _QUERY_NAMES = ("token", "object"), ("module-path", "pin-source")


def open_token_key(uri: str) -> TokenKey:
    """The key that `uri` names. Raises PlanError for a wrong URI, EvidenceError if the token does not have it now.

    One session lives as long as the process: PKCS #11 logs a whole process in. A forked process opens its own.
    """
    return _opened(uri, os.getpid())


class TokenKey:
    """A private key in a token: RSA or ECDSA on the curves of NIST. Its public key must be there, too."""

    def __init__(self, uri: str) -> None:
        names = _parse(uri)
        try:
            import pkcs11
        except ImportError as error:
            raise missing_library("python-pkcs11", "pkcs11", error) from error
        pin = _pin(names["pin-source"])
        try:
            session = _session(pkcs11.lib(names["module-path"]).get_token(token_label=names["token"]), pin)
            label = names["object"]
            self._key: Any = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=label)
            self._public = _public_key(session.get_key(object_class=pkcs11.ObjectClass.PUBLIC_KEY, label=label))
        except (pkcs11.PKCS11Error, RuntimeError) as error:
            reason = str(error) or type(error).__name__
            raise EvidenceError(f"the token of [evidence] key does not have the key now: {reason:.200}") from error
        check_length(self._public, names["object"])
        self.key_id = fingerprint(self._public)

    def sign(self, message: bytes) -> bytes:
        """The signature of `message`, as cryptography makes it. Raises EvidenceError."""
        import pkcs11
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, utils

        try:
            if not isinstance(self._public, ec.EllipticCurvePublicKey):
                return bytes(self._key.sign(message, mechanism=pkcs11.Mechanism.SHA256_RSA_PKCS))
            digest = hashes.Hash(hash_of_curve(self._public))
            digest.update(message)
            raw = bytes(self._key.sign(digest.finalize(), mechanism=pkcs11.Mechanism.ECDSA))
        except (pkcs11.PKCS11Error, RuntimeError) as error:
            _opened.cache_clear()  # a session that a token has ended does not come back
            reason = str(error) or type(error).__name__
            raise EvidenceError(f"the token of [evidence] key does not sign: {reason:.200}") from error
        half = len(raw) // 2
        return utils.encode_dss_signature(int.from_bytes(raw[:half]), int.from_bytes(raw[half:]))


@functools.lru_cache(maxsize=4)
def _opened(uri: str, _process: int) -> TokenKey:
    return TokenKey(uri)


def _session(token: Any, pin: str) -> Any:
    import pkcs11

    try:
        return token.open(user_pin=pin)
    except pkcs11.UserAlreadyLoggedIn:  # by another key: all sessions of a process are logged in together
        return token.open()


def _public_key(public: Any) -> Any:
    import pkcs11
    from cryptography.hazmat.primitives.serialization import load_der_public_key
    from pkcs11.util.ec import encode_ec_public_key
    from pkcs11.util.rsa import encode_rsa_public_key

    if public.key_type == pkcs11.KeyType.EC:
        return load_der_public_key(encode_ec_public_key(public))
    if public.key_type == pkcs11.KeyType.RSA:
        return load_der_public_key(encode_rsa_public_key(public))
    raise PlanError("[evidence] key: the key in the token is neither RSA nor ECDSA")


def _parse(uri: str) -> dict[str, str]:
    path, _, query = uri.removeprefix(PKCS11).partition("?")
    pairs = [part.partition("=") for part in (*path.split(";"), *query.split("&")) if part]
    names = {name: urllib.parse.unquote(value) for name, _, value in pairs}
    expected = (*_PATH_NAMES, *_QUERY_NAMES)
    if len(pairs) != len(names) or set(names) != set(expected) or not all(names.values()):
        raise PlanError(
            "[evidence] key: a key in a token is written pkcs11:token=LABEL;object=LABEL?module-path=FILE&pin-source="
            f"FILE, with these four names once each, not with {', '.join(names) or 'none'}"
        )
    return names


def _pin(path: str) -> str:
    try:
        with open(path.removeprefix("file:"), encoding="utf-8") as file:
            return file.read().rstrip("\r\n")
    except (OSError, ValueError) as error:
        raise PlanError(f"[evidence] key: the pin-source {path} cannot be read: {error}") from error
