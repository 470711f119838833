"""Text means the same in all databases: which values are equal, how they are sorted, and how long they may be."""

import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from douane.catalog import Catalog
from douane.catalog.query import ImageQuery, SetTags, SortKey
from support.catalog import begin, make_ready

NAMES = (
    *("a", "A", "a ", "a  ", " a", "a\t", "á", "a\u0301", "Á", "ä", "b", "B", "_", "0", "é", "e", "ss", "ß", "İ", "i"),
    *(
        "z",
        "Z",
        "\u0131",
        "\uffff",
        "\U0001f600",
        "\U0001f600 ",
        "\U0010ffff",
        "\u200b",
        "'",
        '"',
        "\\",
        "%",
        "%s",
        "`",
    ),
)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def opened(long_database: str):
    with Catalog(long_database) as catalog:
        yield catalog


def names(catalog: Catalog, query: ImageQuery) -> list[str | None]:
    return [image.name for image in catalog.find_images(query)]


def test_names_are_sorted_by_their_characters_numbers_and_equal_only_to_themselves(catalog: Catalog) -> None:
    for name in reversed(NAMES):
        catalog.create_image(name=name, owner=name, disk_format=name)
    for key in ("name", "disk_format"):
        query = ImageQuery(everything=True, visibility="all", sort=(SortKey(key, False),), limit=None)
        assert names(catalog, query) == sorted(NAMES)
    for name in NAMES:
        for field in ("name", "owner", "disk_format"):
            query = ImageQuery(everything=True, visibility="all", text={field: (name,)})
            assert names(catalog, query) == [name]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=15)
@given(st.sets(TEXT, min_size=1, max_size=8), TEXT)
def test_texts_that_differ_are_different_keys(opened: Catalog, words: set[str], other: str) -> None:
    image_id = opened.create_image(name="x", properties={word: word for word in words}, tags=words).id
    for word in words:
        opened.add_member(image_id, word)
    image = opened.image(image_id)
    assert (image.tags, sorted(image.properties)) == (sorted(words), sorted(words))
    assert {member.project for member in opened.members(image_id)} == words
    assert opened.edit(image_id, [SetTags((other,))]).tags == [other]
    opened.delete(image_id)


def test_filters_find_texts_as_they_are(catalog: Catalog) -> None:
    ids = {name: catalog.create_image(name=name, properties={name: name}, tags=[name]).id for name in NAMES}
    for name, image_id in ids.items():
        for filters in ({"tags": (name,)}, {"properties": {name: name}}):
            images = catalog.find_images(ImageQuery(everything=True, visibility="all", **filters))
            assert [image.id for image in images] == [image_id]


def test_values_that_differ_after_the_part_that_is_indexed_are_different(catalog: Catalog) -> None:
    start = "\U0001f600" * 255
    for end in ("", "a", "a ", "A"):
        catalog.create_image(name=end or None, properties={"p": start + end})
    for end in ("", "a", "a ", "A"):
        query = ImageQuery(everything=True, visibility="all", properties={"p": start + end})
        assert names(catalog, query) == [end or None]


def test_the_longest_values_fit(catalog: Catalog) -> None:
    widest = "\U0001f600"
    wide = {"name": widest * 255, "owner": widest * 255, "tags": [widest * 255]}
    image = catalog.create_image(**wide, properties={widest * 255: widest * 65536}, image_id=str(uuid.uuid4()))
    report = {"findings": [widest * 1000] * 1500}
    task = make_ready(
        catalog,
        begin(catalog, image.id),
        report=report,
        digests={"md5": "a" * 255},
        properties={widest * 255: (widest * 65536, widest * 255)},
    )
    assert catalog.task(task.id).report == report
    active = catalog.activate(task)
    assert (active.name, active.properties) == (widest * 255, {widest * 255: widest * 65536})
    query = ImageQuery(project=widest * 255, sort=(SortKey("name"),), marker=None, properties=active.properties)
    assert catalog.find_images(query) == [active]
