"""PATCH of an image in both forms (IMAGE-API 1.4), and against a plain model."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from douane.api.errors import HttpError, http_error
from douane.api.identity.rights import Identity, make_identity
from douane.api.requests.image_fields import EDITABLE, READ_ONLY, ImageRules
from douane.api.requests.patch import V20, V21, read_changes, read_pointer, require_rights
from douane.catalog import Catalog, Image
from douane.catalog.query import Change, Quotas, RemoveProperty, SetField, SetProperty, SetTags
from douane.errors import DouaneError

TENANT = make_identity("u1", "p1", ["member"])
ADMIN = make_identity("u0", "p0", ["admin"])
RULES = ImageRules(plugins=frozenset({"format"}), quotas=Quotas(properties=5, tags=3))


def v21(*operations: dict[str, Any]) -> tuple[str, bytes]:
    return V21, json.dumps(operations).encode()


def v20(*operations: dict[str, Any]) -> tuple[str, bytes]:
    return V20, json.dumps(operations).encode()


def op(action: str, path: str, value: Any = None) -> dict[str, Any]:
    return {"op": action, "path": path, "value": value}


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (v21(), []),  # an empty list is 200
        (v20(), []),
        (v21(op("replace", "/name", "m")), [SetField("name", "m")]),
        (v21(op("add", "/name", None)), [SetField("name", None)]),
        (v21(op("replace", "/os_hidden", True)), [SetField("hidden", True)]),
        (v21(op("replace", "/min_ram", 4)), [SetField("min_ram", 4)]),
        (v21(op("replace", "/tags", ["u", "t", "u"])), [SetTags(("u", "t"))]),
        (v21(op("add", "/a", "9")), [SetProperty("a", "9", None)]),
        (v21(op("replace", "/a", "9")), [SetProperty("a", "9", True)]),
        (v21(op("add", "/x~1y~0z", "9")), [SetProperty("x/y~z", "9", None)]),
        (v21({"op": "remove", "path": "/b"}), [RemoveProperty("b")]),
        (v21(op("remove", "/a"), op("add", "/a", "")), [RemoveProperty("a"), SetProperty("a", "", None)]),
        (v20({"add": "/c", "value": "3"}), [SetProperty("c", "3", False)]),
        (v20({"replace": "/a", "value": "3"}), [SetProperty("a", "3", True)]),
        (v20({"replace": "/protected", "value": True}), [SetField("protected", True)]),
        (v20({"remove": "/a"}), [RemoveProperty("a")]),
    ],
)
def test_what_a_patch_changes(request_: tuple[str, bytes], expected: list[Change]) -> None:
    assert read_changes(*request_, RULES) == expected


BAD: list[tuple[tuple[str, bytes], int, str]] = [
    (("application/json", b"[]"), 415, "expects the content type"),
    (("", b"[]"), 415, "expects the content type"),
    ((V21, b"{}"), 400, "array of operations, not an object"),
    ((V21, b""), 400, "no body"),
    ((V21, b"[7]"), 400, "JSON object, not a number"),
    (v21(*[op("add", "/a", "1")] * 513), 400, "513 operations"),
    # The form of an operation.
    (v21({"path": "/a"}), 400, "no 'op'"),
    (v21(op("move", "/a", "1")), 400, "the 'op' 'move'"),
    (v21({"op": ["add"], "path": "/a", "value": "1"}), 400, "must be one of add"),
    (v21({"op": "add", "value": "1"}), 400, "no 'path'"),
    (v21({"op": "add", "path": "/a"}), 400, "no 'value'"),
    (v21({"add": "/c", "value": "3"}), 400, "no 'op'"),
    (v20({"value": "1"}), 400, "exactly one"),
    (v20({"add": "/a", "remove": "/a", "value": "1"}), 400, "exactly one"),
    (v20({"add": "/a"}), 400, "no 'value'"),
    (v20(op("add", "/c", "1")), 400, "exactly one"),
    # Pointers.
    (v21(op("add", "a", "1")), 400, "must begin with '/'"),
    (v21(op("add", "", "1")), 400, "must begin with '/'"),
    (v21(op("add", "/", "1")), 400, "empty level"),
    (v21(op("add", "//a", "1")), 400, "empty level"),
    (v21(op("add", "/a/", "1")), 400, "empty level"),
    (v21(op("add", "/a/b", "1")), 400, "more than one level"),
    (v21(op("add", "/tags/-", "1")), 400, "more than one level"),
    (v21(op("add", "/~2", "1")), 400, "neither"),
    (v21(op("add", "/a~", "1")), 400, "neither"),
    (v21({"op": "add", "path": 7, "value": "1"}), 400, "must be a string"),
    (v21(op("add", "/" + "x" * 256, "1")), 400, "at most 255"),
    # Names.
    *((v21(op(action, f"/{name}", "1")), 403, "read-only") for action in ("add", "remove") for name in READ_ONLY),
    *((v20({"add": f"/{name}", "value": "1"}), 403, "reserved") for name in ("location", "deleted", "deleted_at")),
    *((v21(op("add", f"/{name}", "1")), 403, "reserved") for name in ("os_glance", "os_glance_x", "douane_proof")),
    (v21(op("remove", "/douane_outcome")), 403, "reserved"),
    (v21(op("replace", "/format.disk", "raw")), 403, "reserved"),
    (v21(op("add", "/os~0glance", "1"), op("add", "/os_glance~1x", "1")), 403, "reserved"),
    (v21(op("add", "/locations/-", {"url": "file:///etc/passwd"})), 403, "locations"),
    (v21(op("replace", "/locations", [])), 403, "locations"),
    *((v21(op("remove", f"/{name}")), 403, "may not be removed") for name in EDITABLE),
    # Values.
    (v21(op("add", "/a", 1)), 400, "must be a string"),
    (v21(op("replace", "/protected", "yes")), 400, "true or false"),
    (v21(op("replace", "/visibility", "hidden")), 400, "must be one of"),
    (v21(op("replace", "/disk_format", "floppy")), 400, "must be one of"),
    (v21(op("replace", "/tags", "a")), 400, "array of strings"),
    (v20({"add": "/name", "value": "1"}), 409, "already has"),
    (v20({"add": "/tags", "value": []}), 409, "already has"),
    # Quotas.
    (v21(op("replace", "/tags", list("abcd"))), 413, "4 tags"),
]


@pytest.mark.parametrize(("request_", "status", "words"), BAD)
def test_a_patch_that_is_refused(request_: tuple[str, bytes], status: int, words: str) -> None:
    with pytest.raises(HttpError, match=words) as error:
        read_changes(*request_, RULES)
    assert error.value.status == status


def test_another_content_type_is_answered_with_those_that_are_read() -> None:
    with pytest.raises(HttpError) as error:
        read_changes(None, b"[]", RULES)
    assert error.value.headers == {"Accept-Patch": f"{V20}, {V21}"}


def test_a_content_type_has_parameters_and_any_case() -> None:
    assert read_changes(f"{V21.upper()} ; charset=utf-8", b"[]", RULES) == []


def rights(image: Image, identity: Identity, name: str, value: str | None) -> int:
    try:
        require_rights(read_changes(*v21(op("replace", f"/{name}", value)), RULES), image, identity)
    except HttpError as error:
        return error.status
    return 200


@pytest.mark.parametrize(
    ("name", "value", "tenant", "admin"),
    [
        ("owner", "p2", 403, 200),
        ("owner", None, 403, 200),
        ("owner", "p1", 200, 200),
        ("visibility", "public", 403, 200),
        ("visibility", "community", 200, 200),
        ("visibility", "private", 200, 200),
        ("disk_format", "qcow2", 200, 200),
        ("name", "x", 200, 200),
    ],
)
def test_what_only_an_admin_changes(image: Image, name: str, value: str | None, tenant: int, admin: int) -> None:
    assert rights(image, TENANT, name, value) == tenant
    assert rights(image, ADMIN, name, value) == admin


def test_the_owner_of_a_public_image_may_say_so_again(image: Image) -> None:
    assert rights(msgspec.structs.replace(image, visibility="public"), TENANT, "visibility", "public") == 200


@pytest.mark.parametrize("name", ["disk_format", "container_format"])
def test_formats_are_changed_only_while_the_image_is_queued(image: Image, name: str) -> None:
    value = {"disk_format": "iso", "container_format": "bare"}[name]
    assert rights(msgspec.structs.replace(image, status="active"), ADMIN, name, value) == 403


# A plain model: one dictionary that operations change in turn.

NAMES = st.sampled_from(["name", "protected", "a", "b", "c", "x/y", "~", "~1"])
OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["add", "replace", "remove"]), NAMES, st.sampled_from(["1", "2", True, 7])), max_size=6
)
START = {"name": "n", "protected": False, "a": "1", "x/y": "2"}


def model(operations: list[tuple[str, str, Any]], strict: bool) -> dict[str, Any] | int:
    for action, name, value in operations:
        if action != "remove" and not isinstance(value, bool if name == "protected" else str):
            return 400
    result: dict[str, Any] = dict(START)
    for action, name, value in operations:
        if action == "remove" and name in ("name", "protected"):
            return 403
        if action == "add" and strict and name in result:
            return 409
        if action != "add" and name not in result:
            return 409
        if action == "remove":
            del result[name]
        else:
            result[name] = value
    return result


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(operations=OPERATIONS, strict=st.booleans())
def test_a_patch_of_an_image_in_the_catalog_does_what_a_plain_model_does(
    catalog: Catalog, operations: list[tuple[str, str, Any]], strict: bool
) -> None:
    image = catalog.create_image(name="n", properties={"a": "1", "x/y": "2"})
    paths = ["/" + name.replace("~", "~0").replace("/", "~1") for _, name, _ in operations]
    rows = [(action, path, value) for (action, _, value), path in zip(operations, paths, strict=True)]
    request = (
        v20(*({action: path, "value": value} for action, path, value in rows))
        if strict
        else v21(*(op(action, path, value) for action, path, value in rows))
    )
    expected = model(operations, strict)
    try:
        catalog.edit(image.id, read_changes(*request, RULES), RULES.quotas)
    except (HttpError, DouaneError) as error:
        answer = error if isinstance(error, HttpError) else http_error(error)
        # Of several errors any may be reported; none changes the image.
        assert isinstance(expected, int) and answer.status in (400, 403, 409)
        expected = START
    image = catalog.image(image.id)
    assert {"name": image.name, "protected": image.protected, **image.properties} == expected


@given(st.text(max_size=30) | st.text("/~01a", max_size=8))
def test_a_pointer_is_one_name_or_is_refused(pointer: str) -> None:
    try:
        name = read_pointer(pointer)
    except HttpError as error:
        assert error.status in (400, 403)
    else:
        assert "/" + name.replace("~", "~0").replace("/", "~1") == pointer


MEMBERS = st.sampled_from(["op", "path", "value", "add", "remove"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=3),
)


@given(JSON)
def test_any_json_is_read_or_refused_with_a_4xx(body: object) -> None:
    for form in (V20, V21):
        try:
            read_changes(form, json.dumps(body).encode(), RULES)
        except HttpError as error:
            assert 400 <= error.status < 500
