"""PATCH of an image in both forms (IMAGE-API 1.4), and against a plain model."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane.api.bounds import Quotas
from douane.api.errors import HttpError
from douane.api.image_fields import EDITABLE, READ_ONLY, ImageRules
from douane.api.patch import V20, V21, EditableImage, ImageEdit, apply_changes, read_changes, read_pointer
from douane.api.rights import Identity, make_identity

TENANT = make_identity("u1", "p1", ["member"])
ADMIN = make_identity("u0", "p0", ["admin"])
RULES = ImageRules(plugins=frozenset({"format"}), quotas=Quotas(properties=5, tags=3))
FIELDS: dict[str, Any] = {
    "name": "n", "visibility": "shared", "owner": "p1", "protected": False, "os_hidden": False, "min_disk": 0,
    "min_ram": 0, "disk_format": "raw", "container_format": "bare",
}  # fmt: skip
IMAGE = EditableImage(status="queued", fields=FIELDS, tags=["t"], properties={"a": "1", "b": "2"})
ACTIVE = EditableImage(status="active", fields=FIELDS, tags=["t"], properties={"a": "1", "b": "2"})


def v21(*operations: dict[str, Any]) -> tuple[str, bytes]:
    return V21, json.dumps(operations).encode()


def v20(*operations: dict[str, Any]) -> tuple[str, bytes]:
    return V20, json.dumps(operations).encode()


def op(action: str, path: str, value: Any = None) -> dict[str, Any]:
    return {"op": action, "path": path, "value": value}


def edit(request: tuple[str, bytes], image: EditableImage = IMAGE, identity: Identity = TENANT) -> ImageEdit:
    return apply_changes(read_changes(*request, RULES), image, identity, RULES)


NOTHING = ImageEdit(fields={}, tags=None, properties={}, removed=[])


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (v21(), NOTHING),  # an empty list is 200
        (v20(), NOTHING),
        (v21(op("replace", "/name", "m")), ImageEdit(fields={"name": "m"}, tags=None, properties={}, removed=[])),
        (v21(op("add", "/name", None)), ImageEdit(fields={"name": None}, tags=None, properties={}, removed=[])),
        (v21(op("replace", "/name", "n"), op("add", "/a", "1")), NOTHING),
        (v21(op("add", "/a", "9")), ImageEdit(fields={}, tags=None, properties={"a": "9"}, removed=[])),
        (v21(op("add", "/x~1y~0z", "9")), ImageEdit(fields={}, tags=None, properties={"x/y~z": "9"}, removed=[])),
        (v21(op("replace", "/tags", ["u", "u"])), ImageEdit(fields={}, tags=["u"], properties={}, removed=[])),
        (v21(op("remove", "/a"), op("add", "/a", "1")), NOTHING),
        (v21(op("add", "/c", "3"), op("remove", "/c")), NOTHING),
        (v21({"op": "remove", "path": "/b"}), ImageEdit(fields={}, tags=None, properties={}, removed=["b"])),
        (v20({"add": "/c", "value": "3"}), ImageEdit(fields={}, tags=None, properties={"c": "3"}, removed=[])),
        (v20({"replace": "/a", "value": "3"}), ImageEdit(fields={}, tags=None, properties={"a": "3"}, removed=[])),
        (v20({"remove": "/a"}), ImageEdit(fields={}, tags=None, properties={}, removed=["a"])),
    ],
)
def test_what_a_patch_changes(request_: tuple[str, bytes], expected: ImageEdit) -> None:
    assert edit(request_) == expected


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
    # What the image has.
    (v21(op("replace", "/c", "1")), 409, "no property 'c' to replace"),
    (v21(op("remove", "/c")), 409, "no property 'c' to remove"),
    (v21(op("remove", "/a"), op("remove", "/a")), 409, "no property 'a'"),
    (v20({"add": "/a", "value": "1"}), 409, "already has"),
    (v20({"add": "/name", "value": "1"}), 409, "already has"),
    (v20({"add": "/tags", "value": []}), 409, "already has"),
    # Quotas.
    (v21(*(op("add", f"/p{index}", "1") for index in range(4))), 413, "6 properties; at most 5"),
    (v21(op("replace", "/tags", list("abcd"))), 413, "4 tags"),
    # Rights.
    (v21(op("replace", "/owner", "p2")), 403, "another owner"),
    (v21(op("replace", "/visibility", "public")), 403, "public"),
]


@pytest.mark.parametrize(("request_", "status", "words"), BAD)
def test_a_patch_that_is_refused(request_: tuple[str, bytes], status: int, words: str) -> None:
    with pytest.raises(HttpError, match=words) as error:
        edit(request_)
    assert error.value.status == status


def test_another_content_type_is_answered_with_those_that_are_read() -> None:
    with pytest.raises(HttpError) as error:
        read_changes(None, b"[]", RULES)
    assert error.value.headers == {"Accept-Patch": f"{V20}, {V21}"}


def test_a_content_type_has_parameters_and_any_case() -> None:
    assert read_changes(f"{V21.upper()} ; charset=utf-8", b"[]", RULES) == []


def test_an_admin_changes_owner_and_publishes() -> None:
    changes = v21(op("replace", "/owner", "p2"), op("replace", "/visibility", "public"))
    assert edit(changes, identity=ADMIN).fields == {"owner": "p2", "visibility": "public"}


def test_formats_are_changed_only_while_the_image_is_queued() -> None:
    change = v21(op("replace", "/disk_format", "qcow2"))
    assert edit(change).fields == {"disk_format": "qcow2"}
    with pytest.raises(HttpError, match="only while the image is queued; it is active") as error:
        edit(change, ACTIVE, ADMIN)
    assert error.value.status == 403


def test_an_image_over_a_lowered_quota_can_lose_properties_but_gain_none() -> None:
    many = EditableImage(status="active", fields=FIELDS, tags=[], properties={f"p{i}": "" for i in range(9)})
    assert edit(v21(op("remove", "/p0")), many).removed == ["p0"]
    with pytest.raises(HttpError, match="10 properties"):
        edit(v21(op("add", "/new", "")), many)


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


@given(OPERATIONS, st.booleans())
def test_a_patch_does_what_a_plain_model_does(operations: list[tuple[str, str, Any]], strict: bool) -> None:
    image = EditableImage(
        status="queued",
        fields={"name": "n", "protected": False},
        tags=[],
        properties={"a": "1", "x/y": "2"},
    )
    paths = ["/" + name.replace("~", "~0").replace("/", "~1") for _, name, _ in operations]
    rows = [(action, path, value) for (action, _, value), path in zip(operations, paths, strict=True)]
    request = (
        v20(*({action: path, "value": value} for action, path, value in rows))
        if strict
        else v21(*(op(action, path, value) for action, path, value in rows))
    )
    expected = model(operations, strict)
    try:
        change = edit(request, image)
    except HttpError as error:
        assert error.status == expected
        return
    result = {**image.fields, **image.properties, **change.fields, **change.properties}
    assert {name: value for name, value in result.items() if name not in change.removed} == expected


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
            edit((form, json.dumps(body).encode()))
        except HttpError as error:
            assert 400 <= error.status < 500
