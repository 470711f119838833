"""The body of POST …/import (IMAGE-API no. 20)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane.api.errors import HttpError
from douane.api.requests.import_request import METHODS, ImportOrder, choose_stores, read_import, require_import_status

DIRECT = {"name": "glance-direct"}
WEB = {"name": "web-download", "uri": "https://images.test/a.qcow2?x=1"}


def order(fields: dict[str, Any], header: str | None = None) -> ImportOrder:
    return read_import(json.dumps(fields).encode(), METHODS, store_header=header)


def test_staged_bytes_go_to_the_default_store() -> None:
    request = order({"method": DIRECT})
    assert (request.method, request.uri, request.stores) == ("glance-direct", None, ())
    assert (request.all_stores, request.all_stores_must_succeed) == (False, True)
    assert request.body == {"method": DIRECT}


def test_gophercloud_sends_an_empty_uri_with_glance_direct() -> None:
    assert order({"method": {**DIRECT, "uri": ""}}).uri is None


def test_a_download_has_its_url() -> None:
    assert order({"method": WEB}).uri == WEB["uri"]


@pytest.mark.parametrize(
    ("fields", "header", "stores", "every", "must"),
    [
        ({"stores": ["b", "a", "b"]}, None, ("b", "a"), False, True),
        ({"stores": ["a"]}, "z", ("a",), False, True),
        ({"all_stores": True}, None, (), True, True),  # Tempest, also with one store
        ({"stores": ["a"], "all_stores_must_succeed": False}, None, ("a",), False, False),  # glanceclient
        ({}, "a", ("a",), False, True),  # the old way to name a store
    ],
)
def test_which_stores_a_request_names(
    fields: dict[str, Any], header: str | None, stores: tuple[str, ...], every: bool, must: bool
) -> None:
    request = order({"method": DIRECT, **fields}, header)
    assert (request.stores, request.all_stores, request.all_stores_must_succeed) == (stores, every, must)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "no 'method'"),
        ({"method": "glance-direct"}, "must be an object, not a string"),
        ({"method": None}, "must be an object, not null"),
        ({"method": {}}, "no 'name'"),
        ({"method": {"name": "glance-download"}}, "not known or not enabled; enabled: glance-direct, web-download"),
        ({"method": {"name": ["glance-direct"]}}, "not known"),
        ({"method": {"name": "web-download"}}, "no 'uri'"),
        ({"method": {"name": "web-download", "uri": ""}}, "no 'uri'"),
        ({"method": {"name": "web-download", "uri": 7}}, "no 'uri'"),
        *(
            ({"method": {"name": "web-download", "uri": uri}}, "does not pass filtering")
            for uri in ("x", "file:///etc/passwd", "ftp://a/b", "https://", "http://[::1", "http://a:99999/", "//a/b")
        ),
        ({"method": {"name": "web-download", "uri": "https://u:p@a.test/"}}, "'a.test', has a user's name"),
        ({"method": {"name": "web-download", "uri": "https://a/\r\nHost: b"}}, "characters that no URL has"),
        ({"method": {"name": "web-download", "uri": "https://é.test/"}}, "characters that no URL has"),
        ({"method": {"name": "web-download", "uri": "https://a/ b"}}, "characters that no URL has"),
        ({"method": {"name": "web-download", "uri": "https://a/" + "x" * 2048}}, "at most 2048"),
        ({"method": {"name": "copy-image"}}, "names no store"),
        ({"method": DIRECT, "stores": "a"}, "must be an array, not a string"),
        ({"method": DIRECT, "stores": [1]}, "names of stores"),
        ({"method": DIRECT, "stores": [""]}, "names of stores"),
        ({"method": DIRECT, "stores": ["a"] * 65}, "65 stores; at most 64"),
        ({"method": DIRECT, "stores": ["a"], "all_stores": True}, "one of them"),
        ({"method": DIRECT, "all_stores": "true"}, "'all_stores' of the import must be true or false"),
        ({"method": DIRECT, "all_stores_must_succeed": None}, "must be true or false, not null"),
    ],
)
def test_an_import_that_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(HttpError, match=words) as error:
        order(fields)
    assert error.value.status == 400


def test_a_method_that_the_operator_disabled_is_refused() -> None:
    with pytest.raises(HttpError, match="enabled: glance-direct") as error:
        read_import(json.dumps({"method": WEB}).encode(), ["glance-direct"])
    assert error.value.status == 400


def test_all_stores_and_the_header_contradict_each_other() -> None:
    with pytest.raises(HttpError, match="one of them"):
        order({"method": DIRECT, "all_stores": True}, "a")


STORE_IDS = ["ceph", "file", "s3"]


@pytest.mark.parametrize(
    ("fields", "holding", "chosen"),
    [
        ({}, (), ["file"]),
        ({"stores": ["s3", "ceph"]}, (), ["ceph", "s3"]),
        ({"all_stores": True}, (), STORE_IDS),
        ({"all_stores": True}, ("file",), ["ceph", "s3"]),
        ({"stores": ["file"]}, ("file",), []),
    ],
)
def test_the_stores_that_are_written(fields: dict[str, Any], holding: tuple[str, ...], chosen: list[str]) -> None:
    assert choose_stores(order({"method": DIRECT, **fields}), STORE_IDS, "file", holding) == chosen


def test_a_store_that_does_not_exist_is_a_conflict() -> None:
    with pytest.raises(HttpError, match="no store 'tape'; the stores are ceph, file, s3") as error:
        choose_stores(order({"method": DIRECT, "stores": ["tape"]}), STORE_IDS, "file")
    assert error.value.status == 409


COPY = {"name": "copy-image"}


@pytest.mark.parametrize(
    ("method", "status", "disk", "container", "words"),
    [
        (DIRECT, "uploading", "raw", "bare", None),
        (WEB, "queued", "raw", "bare", None),
        (COPY, "active", "raw", "bare", None),
        (DIRECT, "queued", "raw", "bare", "needs an image that is uploading"),
        (WEB, "uploading", "raw", "bare", "needs an image that is queued"),
        (COPY, "queued", "raw", "bare", "needs an image that is active"),
        (WEB, "importing", "raw", "bare", "Another import"),
        (WEB, "queued", None, "bare", "no 'disk_format'"),
        (DIRECT, "uploading", "raw", None, "no 'container_format'"),
    ],
)
def test_the_state_that_an_import_needs(
    method: dict[str, str], status: str, disk: str | None, container: str | None, words: str | None
) -> None:
    request = order({"method": method, "all_stores": True})
    if words is None:
        require_import_status(request, status, disk, container)
        return
    with pytest.raises(HttpError, match=words) as error:
        require_import_status(request, status, disk, container)
    assert error.value.status == 409


METHOD = st.dictionaries(st.sampled_from(["name", "uri"]), st.sampled_from([*METHODS, "http://a", "x"]))
VALUES = st.none() | st.booleans() | st.text(max_size=3) | st.lists(st.text(max_size=2), max_size=2) | METHOD


@given(st.dictionaries(st.sampled_from(["method", "stores", "all_stores", "x"]), VALUES))
def test_any_object_is_an_import_or_is_refused(fields: dict[str, Any]) -> None:
    try:
        assert order(fields).method in METHODS
    except HttpError as error:
        assert error.status == 400


def test_a_url_with_credentials_is_read_where_the_operator_allows_it():
    body = b'{"method": {"name": "web-download", "uri": "https://u:p@a.test/"}}'
    assert read_import(body, ["web-download"], credentials=True).uri == "https://u:p@a.test/"
