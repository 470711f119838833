"""The body of ``POST /v2/images/{id}/import`` (no. 20), and which stores it names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

import msgspec

from douane.api.errors import HttpError, bad_request, conflict, quoted

from .bounds import NAME, STORES, URL
from .json_body import kind, read_object

Method = Literal["glance-direct", "web-download", "copy-image"]
METHODS: tuple[Method, ...] = get_args(Method)
STATUS_OF_METHOD: dict[Method, str] = {
    "glance-direct": "uploading",
    "web-download": "queued",
    "copy-image": "active",
}
"""The status that an image must have when its import begins."""


class ImportOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A request to import an image."""

    method: Method
    uri: str | None
    """Of `web-download`; whether it may be read is for the operator's rules, which other code checks."""
    stores: tuple[str, ...]
    """Ids, each once, as they were named; empty with `all_stores`, and if the default store is meant."""
    all_stores: bool
    all_stores_must_succeed: bool
    body: dict[str, Any]
    """As it was sent: tasks show it."""


def read_import(
    body: bytes, methods: Sequence[str], *, store_header: str | None = None, credentials: bool = False
) -> ImportOrder:
    """The request in `body`; `methods` are enabled, `store_header` is X-Image-Meta-Store. Raises HttpError 400.

    `credentials`: the operator allows a user and a password in the URL.
    """
    fields = read_object(body)
    method = fields.get("method")
    if "method" not in fields:
        raise bad_request("The import has no 'method'.")
    if not isinstance(method, dict):
        raise bad_request(f"The 'method' of an import must be an object, not {kind(method)}.")
    name = _method(method, methods)
    all_stores = _flag(fields, "all_stores", False)
    stores = _stores(fields.get("stores"))
    if store_header and "stores" not in fields and not all_stores:
        stores = (store_header,)
    elif all_stores and (stores or store_header):
        raise bad_request("The import names stores, and all stores; it may do one of them.")
    if name == "copy-image" and not stores and not all_stores:
        raise bad_request("The import with 'copy-image' names no store; 'stores' or 'all_stores' is expected.")
    return ImportOrder(
        method=name,
        uri=_uri(method.get("uri"), credentials) if name == "web-download" else None,
        stores=stores,
        all_stores=all_stores,
        all_stores_must_succeed=_flag(fields, "all_stores_must_succeed", True),
        body=fields,
    )


def choose_stores(order: ImportOrder, store_ids: Sequence[str], default: str, holding: Sequence[str] = ()) -> list[str]:
    """The stores to write, in the operator's order; `holding` have the image already (`copy-image`).

    Raises HttpError 409 for a store that is not known, as Glance does.
    """
    for store in order.stores:
        if store not in store_ids:
            raise conflict(f"There is no store {quoted(store)}; the stores are {', '.join(store_ids)}.")
    chosen = store_ids if order.all_stores else (order.stores or (default,))
    return [store for store in store_ids if store in chosen and store not in holding]


def require_import_status(order: ImportOrder, status: str, disk_format: str | None, container: str | None) -> None:
    """Raise HttpError 409 if an image of this status, or without its formats, cannot be imported so."""
    expected = STATUS_OF_METHOD[order.method]
    if status == "importing":
        raise conflict("Another import of the image runs; wait for its end, or delete the image.")
    if status != expected:
        raise conflict(f"The image is {status}; an import with '{order.method}' needs an image that is {expected}.")
    if disk_format is None:
        raise conflict("The image has no 'disk_format'; set it before the import.")
    if container is None:
        raise conflict("The image has no 'container_format'; set it before the import.")


def _method(method: dict[str, Any], methods: Sequence[str]) -> Method:
    if "name" not in method:
        raise bad_request("The 'method' of the import has no 'name'.")
    name = method["name"]
    if isinstance(name, str) and name in METHODS and name in methods:
        return name
    enabled = ", ".join(name for name in METHODS if name in methods) or "none"
    raise bad_request(f"The import method {quoted(name)} is not known or not enabled; enabled: {enabled}.")


def _flag(fields: dict[str, Any], name: str, default: bool) -> bool:
    value = fields.get(name, default)
    if isinstance(value, bool):
        return value
    raise bad_request(f"The member '{name}' of the import must be true or false, not {kind(value)}.")


def _stores(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise bad_request(f"The member 'stores' of the import must be an array, not {kind(value)}.")
    if len(value) > STORES:
        raise bad_request(f"The import names {len(value)} stores; at most {STORES} are allowed.")
    for store in value:
        if not isinstance(store, str) or not store or len(store) > NAME:
            raise bad_request(f"The member 'stores' of the import has {quoted(store)}; names of stores are expected.")
    return tuple(dict.fromkeys(value))


def _uri(value: Any, credentials: bool) -> str:
    if not isinstance(value, str) or not value:
        raise bad_request("The import with 'web-download' has no 'uri'; an https or http URL is expected.")
    if len(value) > URL:
        raise bad_request(f"The 'uri' of the import has {len(value)} characters; at most {URL} are allowed.")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise bad_request("The 'uri' of the import has characters that no URL has; write them as %XX.")
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise _no_url(value) from None
    if parts.scheme.lower() not in ("https", "http") or not host:
        raise _no_url(value)
    if not credentials and (parts.username is not None or parts.password is not None):
        raise bad_request(f"The 'uri' of the import, for {quoted(host, NAME)}, has a user's name; it may have none.")
    return value


def _no_url(value: str) -> HttpError:
    # Tempest looks for the host's name, or for these three words, in the answer.
    return bad_request(f"The 'uri' {quoted(value)} does not pass filtering; an https or http URL is expected.")
