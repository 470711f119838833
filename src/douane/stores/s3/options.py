"""What the operator configures of an S3 store, and the credentials: from a file or the environment, never shown."""

from __future__ import annotations

import configparser
import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from obstore.store import S3Store

from douane.errors import PlanError

SECTION = "default"
_KEYS = {
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
}
_IN_ENVIRONMENT = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


@dataclass(frozen=True, kw_only=True)
class S3Options:
    """The settings of one store."""

    endpoint: str | None = None
    """The server's URL; None: Amazon's, by the region."""

    region: str = "us-east-1"
    credentials_file: str | None = None
    ca_file: str | None = None
    path_style: bool = True
    unsigned_payload: bool | None = None
    """Do not sign the bytes, only the requests. None: over TLS, which protects the bytes anyway."""

    timeout: float = 60.0
    """Seconds for a request of at most `PART_BYTES`, with its answer."""

    connect_timeout: float = 5.0
    retries: int = 8

    @property
    def is_plain(self) -> bool:
        """True if the bytes are sent without TLS."""
        return self.endpoint is not None and self.endpoint.lower().startswith("http://")


def split_location(location: str) -> tuple[str, str]:
    """The bucket and the prefix in the part of a URL behind ``s3:``. Raises PlanError."""
    parts = urlsplit(f"s3:{location}")
    bucket, prefix = parts.netloc, parts.path.strip("/")
    names = prefix.split("/") if prefix else []
    is_plain = not parts.query and not parts.fragment and "@" not in bucket and ":" not in bucket
    if not location.startswith("//") or not bucket or not is_plain or any(name in ("", ".", "..") for name in names):
        raise PlanError("the URL of an S3 store is s3://BUCKET or s3://BUCKET/PREFIX; the server is in 'endpoint'")
    return bucket, prefix


def open_bucket(bucket: str, prefix: str, options: S3Options) -> S3Store:
    """The client for what lies below `prefix`. Connects to nothing. Raises PlanError."""
    unsigned = options.unsigned_payload if options.unsigned_payload is not None else not options.is_plain
    client: dict[str, Any] = {
        "allow_http": options.is_plain,
        "timeout": timedelta(seconds=options.timeout),
        "connect_timeout": timedelta(seconds=options.connect_timeout),
    }
    ca = read_ca(options.ca_file)
    if ca is not None:
        client["root_certificate"] = ca
    config: dict[str, Any] = {
        "region": options.region,
        "unsigned_payload": unsigned,
        "virtual_hosted_style_request": not options.path_style,
        "conditional_put": "etag",
        **read_credentials(options.credentials_file),
    }
    if options.endpoint is not None:
        url = bucket_url(bucket, options)
        config["endpoint"] = url.removesuffix(f"/{bucket}") if options.path_style else url
    try:
        return S3Store(
            bucket,
            prefix=prefix or None,
            client_options=client,  # type: ignore[arg-type]
            retry_config={
                "max_retries": options.retries,
                "backoff": {"max_backoff": timedelta(seconds=5)},
                "retry_timeout": timedelta(seconds=2 * options.timeout),
            },
            **config,
        )
    except Exception as error:  # obstore has several kinds, and some show the settings, in which the secret is
        raise PlanError(
            f"the S3 store s3://{bucket}/{prefix} cannot be opened: one of 'endpoint', 'region' and 'ca_file' is wrong "
            f"({type(error).__name__})"
        ) from None


def read_credentials(path: str | None) -> dict[str, str]:
    """What obstore is given: the section ``[default]`` of a file as the AWS tools have it; without a file nothing, for
    obstore reads the environment. Raises PlanError, whose sentence has no part of the file."""
    if path is None:
        if not any(os.environ.get(name) for name in _IN_ENVIRONMENT):
            raise PlanError(
                "the S3 store has no credentials: name a 'credentials_file', or set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY"
            )
        return {}
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(_read(path, "credentials_file"))
        section = dict(parser[SECTION])
    except (configparser.Error, KeyError):
        section = {}
    credentials = {name: section[key].strip() for key, name in _KEYS.items() if section.get(key, "").strip()}
    if not {"access_key_id", "secret_access_key"} <= credentials.keys():
        raise PlanError(
            f"the 'credentials_file' {path} is no file of credentials: expected a section [{SECTION}] with "
            "aws_access_key_id and aws_secret_access_key"
        )
    return credentials


def _read(path: str, option: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise PlanError(f"the {option!r} {path} cannot be read: {reason}") from None


def read_ca(path: str | None) -> str | None:
    """The certificates in a file. Raises PlanError."""
    return None if path is None else _read(path, "ca_file")


def bucket_url(bucket: str, options: S3Options) -> str:
    """The URL of the bucket itself."""
    endpoint = options.endpoint or f"https://s3.{options.region}.amazonaws.com"
    scheme, _, rest = endpoint.rstrip("/").partition("://")
    return f"{scheme}://{rest}/{bucket}" if options.path_style else f"{scheme}://{bucket}.{rest}"
