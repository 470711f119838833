"""Queries of images, against the same filters in plain Python over all records."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from douane.catalog import Catalog, Image, find, rows
from douane.catalog.query import ImageQuery, NumberField, SortField, SortKey, TextField, TimeBound
from douane.errors import BadValue
from support.catalog_rows import PROJECTS, START, fill

VISIBILITIES = ("public", "community", "shared", "private")


class Records:
    """All images and members of a catalog, and the columns that no record shows."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.images = catalog.images(include_deleted=True)
        self.members = {
            (member.image_id, member.project): member.status
            for image in self.images
            for member in catalog.members(image.id)
        }
        with catalog._database.read() as connection:
            rows = connection.exec_driver_sql("SELECT id, checksum, os_hash_algo, os_hash_value FROM images")
            self.hashes = {row.id: dict(row._mapping) for row in rows}

    def value(self, image: Image, field: str) -> object:
        return self.hashes[image.id][field] if field in self.hashes[image.id] else getattr(image, field)


@pytest.fixture(scope="module")
def records(long_database: str) -> Iterator[Records]:
    with Catalog(long_database) as catalog:
        fill(catalog, 240)
        yield Records(catalog)


def listed(image: Image, query: ImageQuery, status: str | None) -> bool:
    mine = query.project is not None and image.owner == query.project
    if query.everything:
        return mine or image.visibility != "community" if query.visibility is None else True
    shared = image.visibility == "shared" and status is not None and query.member_status in ("all", status)
    community = image.visibility == "community" and query.visibility in ("community", "all")
    return mine or image.visibility == "public" or community or shared


def holds(time: str, bound: TimeBound) -> bool:
    seconds = datetime.fromisoformat(time).replace(microsecond=0)
    wanted = bound.time.astimezone(UTC).replace(microsecond=0)
    return {
        "gt": seconds > wanted,
        "gte": seconds >= wanted,
        "lt": seconds < wanted,
        "lte": seconds <= wanted,
        "eq": seconds == wanted,
        "neq": seconds != wanted,
    }[bound.comparison]


def matches(records: Records, image: Image, query: ImageQuery) -> bool:
    numbers = {field: getattr(image, field) for field in get_args(NumberField)}
    return (
        image.status != "deleted"
        and listed(image, query, records.members.get((image.id, str(query.project))))
        and query.visibility in (None, "all", image.visibility)
        and query.hidden in (None, image.hidden)
        and query.protected in (None, image.protected)
        and all(records.value(image, field) in allowed for field, allowed in query.text.items())
        and all(numbers[field] == number for field, number in query.equal.items())
        and all(numbers[field] is not None and numbers[field] >= number for field, number in query.at_least.items())
        and all(numbers[field] is not None and numbers[field] <= number for field, number in query.at_most.items())
        and all(holds(getattr(image, bound.field), bound) for bound in query.times)
        and set(query.tags) <= set(image.tags)
        and all(image.properties.get(name) == value for name, value in query.properties.items())
    )


def expected(records: Records, query: ImageQuery) -> list[str]:
    """The ids of all pages."""
    chosen = [image for image in records.images if matches(records, image, query)]
    keys = list(query.sort) or [SortKey("created_at")]
    ties = keys[0].descending if len(keys) == 1 else True
    # Python's sort is stable: the last key first.
    for key in reversed([*keys, SortKey("created_at", ties), SortKey("id", ties)]):
        missing = -1 if key.field == "size" else ""

        def by(image: Image, field: str = key.field, missing: object = missing) -> object:
            value = getattr(image, field)
            return missing if value is None else value

        chosen.sort(key=by, reverse=key.descending)
    return [image.id for image in chosen]


TEXTS: dict[str, st.SearchStrategy[str]] = {
    "name": st.sampled_from(["", "a", "b", "é", "absent"]),
    "status": st.sampled_from(["queued", "active", "deactivated", "deleted", "absent"]),
    "owner": st.sampled_from(PROJECTS),
    "disk_format": st.sampled_from(["raw", "qcow2", ""]),
    "container_format": st.sampled_from(["bare", "ovf"]),
    "checksum": st.sampled_from(["c1", "c2"]),
    "os_hash_algo": st.sampled_from(["sha512", "md5"]),
    "os_hash_value": st.sampled_from(["h1", "h2"]),
}
FILTERS = st.fixed_dictionaries(
    {}, optional={name: st.lists(value, min_size=1, max_size=3).map(tuple) for name, value in TEXTS.items()}
)
NUMBERS = st.dictionaries(st.sampled_from(get_args(NumberField)), st.sampled_from([0, 1, 2, 2**40]), max_size=1)
TIMES = st.builds(
    TimeBound,
    st.sampled_from(["created_at", "updated_at"]),
    st.sampled_from(["gt", "gte", "lt", "lte", "eq", "neq"]),
    st.builds(
        lambda second, fraction, zone: (START + timedelta(seconds=second, microseconds=fraction)).astimezone(zone),
        st.integers(-1, 8),
        st.sampled_from([0, 1, 999_999]),
        st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]),
    ),
)
SORTS = st.lists(st.builds(SortKey, st.sampled_from(get_args(SortField)), st.booleans()), max_size=3)


def few_filters(filters: dict) -> dict:
    """At most two of the filters: more match nothing."""
    return dict(list(filters.items())[:2])


QUERIES = st.builds(
    ImageQuery,
    project=st.none() | st.sampled_from(PROJECTS),
    everything=st.booleans(),
    visibility=st.sampled_from([None, None, None, "all", *VISIBILITIES]),
    member_status=st.sampled_from(["accepted", "accepted", "all", "pending", "rejected"]),
    hidden=st.sampled_from([None, None, False, True]),
    protected=st.sampled_from([None, None, None, False, True]),
    text=st.just({}) | FILTERS.map(few_filters),
    equal=st.just({}) | NUMBERS,
    at_least=st.just({}) | NUMBERS,
    at_most=st.just({}) | NUMBERS,
    times=st.just(()) | st.lists(TIMES, max_size=2).map(tuple),
    tags=st.just(()) | st.lists(st.sampled_from("xyz"), max_size=2).map(tuple),
    properties=st.just({})
    | st.dictionaries(st.sampled_from(["os", "bus"]), st.sampled_from(["1", "2", "x" * 300, "x" * 299]), max_size=2),
    sort=SORTS.map(lambda keys: tuple({key.field: key for key in keys}.values())),
)
ENTRIES = st.sampled_from([0, 30, 1000])
FEW = st.sampled_from([0, 20, 1000])
"""0: images are always read in order; 1000: every filter is read first."""

thorough = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@thorough
@given(query=QUERIES, few=FEW, entries=ENTRIES)
def test_a_query_lists_what_a_plain_filter_lists(records: Records, query: ImageQuery, few: int, entries: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(find, "FEW", few)
        patch.setattr(find, "FEW_MEMBERSHIPS", few)
        patch.setattr(find, "FEW_ENTRIES", entries)
        images = records.catalog.find_images(structs(query, limit=None))
    assert [image.id for image in images] == expected(records, query)
    by_id = {image.id: image for image in records.images}
    assert all(image == by_id[image.id] for image in images)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=QUERIES, few=FEW, entries=ENTRIES, limit=st.integers(1, 40))
def test_pages_have_every_image_once_in_order(
    records: Records, query: ImageQuery, few: int, entries: int, limit: int
) -> None:
    pages: list[str] = []
    whole = expected(records, query)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(find, "FEW", few)
        patch.setattr(find, "FEW_MEMBERSHIPS", few)
        patch.setattr(find, "FEW_ENTRIES", entries)
        marker = None
        while page := records.catalog.find_images(structs(query, limit=limit, marker=marker)):
            assert len(page) == min(limit, len(whole) - len(pages))
            pages += [image.id for image in page]
            marker = page[-1].id
    assert pages == expected(records, query)


def structs(query: ImageQuery, **changes: object) -> ImageQuery:
    return ImageQuery(**{name: getattr(query, name) for name in query.__struct_fields__} | changes)


@pytest.mark.parametrize(
    "query",
    [
        ImageQuery(marker="00000000-0000-4000-8000-000000000000"),
        ImageQuery(marker="no id"),
        ImageQuery(limit=-1),
        ImageQuery(visibility="everyone"),
        ImageQuery(member_status="maybe"),
        ImageQuery(sort=(SortKey("owner"),)),
        ImageQuery(text={"digests": ("x",)}),
        ImageQuery(text={"name": ("\0",)}),
        ImageQuery(text={"name": tuple("abc" * 50)}),
        ImageQuery(equal={"token": 1}),
        ImageQuery(at_least={"size": 2**63}),
        ImageQuery(at_most={"size": -1}),
        ImageQuery(tags=("\ud800",)),
        ImageQuery(properties={"a": "\0"}),
        ImageQuery(times=(TimeBound("created_at", "gt", datetime(2026, 1, 1)),)),
        ImageQuery(times=(TimeBound("created_at", "gt", datetime.max.replace(tzinfo=UTC)),)),
        ImageQuery(times=(TimeBound("created_at", "about", START),)),
        ImageQuery(times=(TimeBound("name", "gt", START),)),
    ],
)
def test_queries_that_no_image_can_match_are_refused(records: Records, query: ImageQuery) -> None:
    with pytest.raises(BadValue):
        records.catalog.find_images(query)


def test_a_marker_must_be_an_image_that_the_project_may_see(records: Records) -> None:
    for image in records.images:
        status = records.members.get((image.id, "p1"))
        visible = image.owner == "p1" or image.visibility in ("public", "community")
        visible = visible or (image.visibility == "shared" and status is not None)
        query = ImageQuery(project="p1", marker=image.id, limit=1)
        if visible and image.status != "deleted":
            records.catalog.find_images(query)
        else:
            with pytest.raises(BadValue, match="is no image that is listed here"):
                records.catalog.find_images(query)


def test_every_text_field_has_a_filter_here() -> None:
    assert {*TEXTS, "id"} == set(get_args(TextField))


def test_ids_are_a_filter(records: Records) -> None:
    some = [image for image in records.images if image.status != "deleted" and not image.hidden][:3]
    query = ImageQuery(everything=True, visibility="all", text={"id": (*(image.id for image in some), "x")})
    assert {image.id for image in records.catalog.find_images(query)} == {image.id for image in some}


def test_a_page_of_no_images_is_empty(records: Records) -> None:
    assert records.catalog.find_images(ImageQuery(everything=True, limit=0)) == []


def test_a_list_without_a_limit_may_have_more_images_than_a_statement_values(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = ImageQuery(everything=True, visibility="all", hidden=None, limit=None)
    everything = records.catalog.find_images(query)
    monkeypatch.setattr(rows, "BATCH", 7)
    assert records.catalog.find_images(query) == everything
    assert len(everything) > 100
