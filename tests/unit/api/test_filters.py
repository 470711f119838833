"""The query string of GET /v2/images (IMAGE-API 1.5 and no. 7)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from douane.api.errors import HttpError
from douane.api.identity.rights import make_identity
from douane.api.requests.filters import read_image_list, split_list
from douane.catalog import Catalog, Image
from douane.catalog.query import ImageQuery, SortKey, TimeBound

TENANT = make_identity("u", "p1", ["reader"])
ADMIN = make_identity("u", "p0", ["admin"])
UUID = "6F9619FF-8B86-D011-B42D-00CF4FC964FF"
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def query(text: str) -> ImageQuery:
    return read_image_list(text, TENANT).query


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("name=x", {"text": {"name": ("x",)}}),
        ("name=", {"text": {"name": ("",)}}),
        ("name=a+b%2Cc", {"text": {"name": ("a b,c",)}}),
        ("name=ubuntu:24.04", {"text": {"name": ("ubuntu:24.04",)}}),
        ("name=eq:in:x", {"text": {"name": ("in:x",)}}),
        ("name=in:a,b", {"text": {"name": ("a", "b")}}),
        ('name=in:"a,b",c', {"text": {"name": ("a,b", "c")}}),
        ("status=active&owner=p2", {"text": {"status": ("active",), "owner": ("p2",)}}),
        ("disk_format=in:raw,iso", {"text": {"disk_format": ("raw", "iso")}}),
        (f"id={UUID}", {"text": {"id": (UUID.lower(),)}}),
        (f"id=in:{UUID},x", {"text": {"id": (UUID.lower(), "x")}}),
        ("checksum=ab&os_hash_value=cd", {"text": {"checksum": ("ab",), "os_hash_value": ("cd",)}}),
        ("size=5&min_ram=1", {"equal": {"size": 5, "min_ram": 1}}),
        ("size_min=1&size_max=9", {"at_least": {"size": 1}, "at_most": {"size": 9}}),
        ("min_disk_min=1&virtual_size_max=2", {"at_least": {"min_disk": 1}, "at_most": {"virtual_size": 2}}),
        ("hw_max=3", {"properties": {"hw_max": "3"}}),
        ("os_distro=x&a%3Db=%C3%A9", {"properties": {"os_distro": "x", "a=b": "é"}}),
        ("tag=a&tag=b", {"tags": ("a", "b")}),
        ("protected=true&os_hidden=False", {"protected": True, "hidden": False}),
        ("os_hidden=true", {"hidden": True}),
        ("visibility=all", {"visibility": "all"}),
        ("member_status=rejected", {"member_status": "rejected"}),
        ("created_at=gt:2026-01-02T12:00:00Z", {"times": (TimeBound("created_at", "gt", NOON),)}),
        ("updated_at=2026-01-02T12:00:00", {"times": (TimeBound("updated_at", "eq", NOON),)}),
        ("updated_at=lte:2026-01-02T13:00:00%2B01:00", {"times": (TimeBound("updated_at", "lte", NOON),)}),
        ("updated_at=neq:2026-01-02T13:00:00+01:00", {"times": (TimeBound("updated_at", "neq", NOON),)}),
        ("updated_at=2026-01-02+12:00:00", {"times": (TimeBound("updated_at", "eq", NOON),)}),
        ("sort=name:asc,size", {"sort": (SortKey("name", False), SortKey("size", True))}),
        ("sort_key=name&sort_key=id&sort_dir=asc", {"sort": (SortKey("name", False), SortKey("id", False))}),
        (
            "sort_key=name&sort_key=id&sort_dir=asc&sort_dir=desc",
            {"sort": (SortKey("name", False), SortKey("id", True))},
        ),
        ("sort_key=name", {"sort": (SortKey("name", True),)}),
        ("sort_dir=asc", {"sort": (SortKey("created_at", False),)}),
        ("limit=0", {"limit": 0}),
        ("limit=7", {"limit": 7}),
        ("limit=5000", {"limit": 1000}),  # cut, not refused
        ("limit=" + "9" * 5000, {"limit": 1000}),
        (f"marker={UUID}", {"marker": UUID.lower()}),
    ],
)
def test_what_a_query_means(text: str, expected: dict[str, Any]) -> None:
    assert query(text) == ImageQuery(**{"project": "p1", **expected})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("limit=-1", "'limit' is '-1'"),
        ("limit=x", "a whole number from 0 on"),
        ("limit=", "a whole number from 0 on"),
        ("limit=%D9%A3", "a whole number from 0 on"),
        ("limit=1&limit=2", "'limit' occurs 2 times"),
        ("marker=x", "the id of an image"),
        ("marker=", "the id of an image"),
        ("name=a&name=b", "'name' occurs 2 times"),
        ("name=gt:x", "does not take the operator 'gt:'; it takes in: and eq:"),
        ("owner=in:a,b", "does not take the operator 'in:'; it takes eq:"),
        ('name=in:"a', "not closed"),
        ('name=in:a"b"', "not closed"),
        ('name=in:"a"b', "not closed"),
        ("name=in:" + "," * 300, "more than 256 values"),
        ("size_min=x", "'size_min' is 'x'"),
        ("size_max=1.5", "whole number"),
        ("size=-1", "whole number"),
        (f"size_min={2**63}", "whole number"),
        ("min_ram=", "whole number"),
        ("created_at=x", "ISO 8601"),
        ("created_at=after:2026-01-01", "ISO 8601"),
        ("updated_at=gt:", "ISO 8601"),
        ("updated_at=lt:2026-13-01T00:00:00Z", "ISO 8601"),
        ("updated_at=lt:0001-01-01T00:00:00%2B10:00", "ISO 8601"),
        ("protected=maybe", "true or false"),
        ("os_hidden=", "true or false"),
        ("visibility=secret", "one of"),
        ("visibility=", "one of"),
        ("member_status=maybe", "one of pending, accepted, rejected, all"),
        ("changes-since=2026-01-01", "updated_at=gte"),
        ("sort=owner", "The sort key 'owner'"),
        ("sort=", "The sort key ''"),
        ("sort=name:up", "The sort direction 'up'"),
        ("sort=name&sort_key=id", "cannot be combined"),
        ("sort=name&sort_dir=asc", "cannot be combined"),
        ("sort=name&sort=id", "occurs 2 times"),
        ("sort_key=x", "The sort key 'x'"),
        ("sort_key=name&sort_dir=", "The sort direction ''"),
        ("sort_key=name&sort_dir=asc&sort_dir=asc", "one direction for all keys"),
        ("sort_dir=asc&sort_dir=asc", "one direction for all keys"),
        ("sort=" + ",".join(["id"] * 9), "at most 8"),
        ("name=%FF", "not UTF-8"),
        ("name=%00", "a NUL"),
        ("x" * 256 + "=1", "at most 255"),
        ("a=1&" * 200, "more than 128 parameters"),
        ("a=" + "x" * 20_000, "more than 16384"),
    ],
)
def test_a_query_that_is_refused(text: str, words: str) -> None:
    with pytest.raises(HttpError, match=words) as error:
        query(text)
    assert error.value.status == 400


def test_an_admin_sees_everything() -> None:
    assert read_image_list("", ADMIN).query == ImageQuery(project="p0", everything=True)


def test_a_page_that_is_not_full_has_no_next() -> None:
    page = read_image_list("limit=2&tag=a&tag=b&name=%C3%A9+x&marker=" + UUID, TENANT)
    assert page.first() == "/v2/images?limit=2&tag=a&tag=b&name=%C3%A9+x"
    assert page.next([]) is None
    assert page.next(["1"]) is None
    assert page.next(["1", "2"]) == "/v2/images?limit=2&tag=a&tag=b&name=%C3%A9+x&marker=2"
    assert read_image_list("", TENANT).first() == "/v2/images"
    assert read_image_list("limit=0", TENANT).next([]) is None


WORD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


@given(st.lists(WORD, min_size=1, max_size=5))
def test_any_list_can_be_written_with_quotes(words: list[str]) -> None:
    written = ",".join('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words)
    assert split_list(written) == tuple(words)


QUERIES = st.fixed_dictionaries(
    {},
    optional={
        "text": st.dictionaries(
            st.sampled_from(["name", "status", "disk_format"]), WORD.map(lambda x: (x,)), max_size=2
        ),
        "at_least": st.dictionaries(st.sampled_from(["size", "min_ram"]), st.integers(0, 2**63 - 1), max_size=2),
        "at_most": st.dictionaries(st.sampled_from(["size", "min_disk"]), st.integers(0, 2**63 - 1), max_size=2),
        "times": st.lists(
            st.builds(
                TimeBound,
                st.sampled_from(["created_at", "updated_at"]),
                st.sampled_from(["gt", "gte", "lt", "lte", "eq", "neq"]),
                st.datetimes(timezones=st.sampled_from([UTC])),
            ),
            max_size=2,
            unique_by=lambda bound: bound.field,
        ).map(tuple),
        "tags": st.lists(WORD, max_size=3).map(tuple),
        "properties": st.dictionaries(WORD.map(lambda x: f"p-{x}"), WORD, max_size=3),
        "protected": st.booleans(),
        "hidden": st.booleans(),
        "visibility": st.sampled_from(["public", "private", "shared", "community", "all"]),
        "member_status": st.sampled_from(["pending", "accepted", "rejected", "all"]),
        "sort": st.lists(
            st.builds(SortKey, st.sampled_from(["name", "size", "id"]), st.booleans()), min_size=1, max_size=3
        ).map(tuple),
        "limit": st.integers(0, 1000),
        "marker": st.uuids().map(str),
    },
)


def write(fields: dict[str, Any]) -> list[tuple[str, str]]:
    pairs = [(name, f"eq:{words[0]}") for name, words in fields.get("text", {}).items()]
    pairs += [(f"{name}_min", str(number)) for name, number in fields.get("at_least", {}).items()]
    pairs += [(f"{name}_max", str(number)) for name, number in fields.get("at_most", {}).items()]
    pairs += [(bound.field, f"{bound.comparison}:{bound.time.isoformat()}") for bound in fields.get("times", ())]
    pairs += [("tag", tag) for tag in fields.get("tags", ())]
    pairs += list(fields.get("properties", {}).items())
    names = {"protected": "protected", "hidden": "os_hidden"}
    pairs += [(names[name], str(fields[name]).lower()) for name in names if name in fields]
    pairs += [
        (name, str(fields[name])) for name in ("visibility", "member_status", "limit", "marker") if name in fields
    ]
    for key in fields.get("sort", ()):
        pairs += [("sort_key", key.field), ("sort_dir", "desc" if key.descending else "asc")]
    return pairs


@given(QUERIES, st.booleans())
def test_a_query_that_is_written_is_read_as_the_same(fields: dict[str, Any], classic: bool) -> None:
    pairs = write(fields)
    if not classic and "sort" in fields:
        keys = ",".join(f"{key.field}:{'desc' if key.descending else 'asc'}" for key in fields["sort"])
        pairs = [pair for pair in pairs if not pair[0].startswith("sort_")] + [("sort", keys)]
    page = read_image_list(urlencode(pairs), TENANT)
    assert page.query == ImageQuery(**{"project": "p1", **fields})
    # The link to the next page asks for the same, behind the marker.
    link = page.next([str(UUID)] * 1000)
    assert link is not None
    again = read_image_list(urlsplit(link).query, TENANT)
    assert again.query == ImageQuery(**{"project": "p1", **fields, "marker": UUID.lower()})
    assert parse_qs(urlsplit(page.first()).query).get("marker") is None


@given(
    st.text(max_size=40)
    | st.from_regex(r"(name|sort|limit|created_at|tag|size_min)=[in:,\"%0-9gt]{0,12}", fullmatch=True)
)
def test_any_text_is_a_query_or_is_refused(text: str) -> None:
    try:
        query(text)
    except HttpError as error:
        assert error.status == 400


def test_an_offset_of_time_is_turned_into_utc() -> None:
    zone = query("created_at=2026-01-02T00:00:00-05:30").times[0].time
    assert zone == datetime(2026, 1, 2, 5, 30, tzinfo=UTC)
    assert zone.utcoffset() == timedelta(0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(fields=QUERIES.filter(lambda fields: "marker" not in fields))
def test_the_catalog_answers_any_query_that_is_read(catalog: Catalog, fields: dict[str, Any]) -> None:
    written = read_image_list(urlencode(write(fields)), ADMIN).query
    assert catalog.find_images(written) == []


@pytest.mark.parametrize(
    "text",
    ["id=x", "id=in:x,,y", "status=killed", "status=", "owner=", "size_min=9223372036854775807", "name=" + "x" * 9000],
)
def test_a_value_that_no_image_has_matches_nothing(catalog: Catalog, image: Image, text: str) -> None:
    assert catalog.find_images(read_image_list(text, ADMIN).query) == []
    assert catalog.find_images(read_image_list("", ADMIN).query) == [image]


def test_the_links_lead_through_all_pages(catalog: Catalog) -> None:
    names = {catalog.create_image(name=f"image {index}", owner="p1", tags=["é&"]).id for index in range(5)}
    link: str | None = "/v2/images?limit=2&sort=name:asc&tag=%C3%A9%26"
    pages = []
    while link is not None:
        page = read_image_list(urlsplit(link).query, TENANT)
        ids = [image.id for image in catalog.find_images(page.query)]
        pages.append(ids)
        link = page.next(ids)
    assert [len(ids) for ids in pages] == [2, 2, 1]
    assert {image_id for ids in pages for image_id in ids} == names
