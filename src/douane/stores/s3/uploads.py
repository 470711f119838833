"""Uploads in parts that a killed process has left: found and aborted, and the server's rule that aborts them.

Their parts take room, and no list of objects shows them.
"""

from __future__ import annotations

import logging
import os
from urllib.parse import quote
from xml.etree.ElementTree import Element, ParseError

import defusedxml
from defusedxml.ElementTree import fromstring

from .options import S3Options, bucket_url, read_ca, read_credentials
from .signed_request import Signer, ask

log = logging.getLogger("douane")

MAX_ABORTED = 1_000
"""Uploads of one key; a server lists as many at once."""

_NO_RULE = "NoSuchLifecycleConfiguration"


class Uploads:
    """The uploads of one bucket. Everything here is done where it can be: the server's rule does the rest."""

    def __init__(self, bucket: str, prefix: str, options: S3Options) -> None:
        self._url = bucket_url(bucket, options)
        self._prefix = f"{prefix}/" if prefix else ""
        self._timeout = options.timeout
        self._ca = read_ca(options.ca_file)
        self._signer = _signer(options)

    def abort(self, folder: str) -> None:
        """Abort the uploads of objects in a folder."""
        root = self._ask("GET", self._url, {"uploads": "", "prefix": self._prefix + folder})
        for upload in [] if root is None else _all(root, "Upload")[:MAX_ABORTED]:
            key, upload_id = _text(upload, "Key"), _text(upload, "UploadId")
            if key.startswith(self._prefix + folder) and upload_id:
                self._ask("DELETE", f"{self._url}/{quote(key)}", {"uploadId": upload_id})

    def advice(self) -> str | None:
        """What the operator should do about the bucket's rule; None if there is one, or if that cannot be seen."""
        if self._signer is None:
            return None
        try:
            status, answer = ask(self._signer, "GET", self._url, {"lifecycle": ""}, ca=self._ca, timeout=self._timeout)
        except OSError:
            return None
        missing = (
            "the bucket has no rule that aborts incomplete uploads of this store (AbortIncompleteMultipartUpload, for "
            "example after 2 days), so parts of uploads whose process was killed may stay for ever"
        )
        if status == 404 and _NO_RULE.encode() in answer:
            return missing
        root = _parse(answer) if status == 200 else None
        if root is None:
            return None  # the credentials need no right to read the rules
        return None if any(self._covers(rule) for rule in _all(root, "Rule")) else missing

    def _covers(self, rule: Element) -> bool:
        aborts = bool(_all(rule, "AbortIncompleteMultipartUpload"))
        is_narrow = bool(_all(rule, "Tag"))
        return (
            aborts
            and not is_narrow
            and _text(rule, "Status") == "Enabled"
            and f"{self._prefix}data/".startswith(_text(rule, "Prefix"))
        )

    def _ask(self, method: str, url: str, query: dict[str, str]) -> Element | None:
        if self._signer is None:
            return None
        try:
            status, answer = ask(self._signer, method, url, query, ca=self._ca, timeout=self._timeout)
        except OSError as error:
            log.info("unfinished uploads cannot be aborted: %s", error)
            return None
        return _parse(answer) if status == 200 else None


def _signer(options: S3Options) -> Signer | None:
    """None for credentials that obstore fetches itself."""
    credentials = read_credentials(options.credentials_file) or {
        "access_key_id": os.environ.get("AWS_ACCESS_KEY_ID", ""),
        "secret_access_key": os.environ.get("AWS_SECRET_ACCESS_KEY", ""),
        "session_token": os.environ.get("AWS_SESSION_TOKEN", ""),
    }
    if not (credentials["access_key_id"] and credentials["secret_access_key"]):
        return None
    return Signer(
        credentials["access_key_id"], credentials["secret_access_key"], credentials.get("session_token"), options.region
    )


def _parse(answer: bytes) -> Element | None:
    try:
        root: Element = fromstring(answer)
    except (ParseError, defusedxml.DefusedXmlException, LookupError, ValueError):  # the last two: unknown encodings
        return None
    return root


def _all(root: Element, name: str) -> list[Element]:
    """The elements called `name`, in whatever namespace: AWS has one, others have none."""
    return [element for element in root.iter() if element.tag.rpartition("}")[2] == name]


def _text(root: Element, name: str) -> str:
    return next((element.text or "" for element in _all(root, name)), "")
