"""Typed edits, tags, protection: all or nothing, and refusals that change nothing."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from douane.catalog import Catalog
from douane.catalog.query import Change, Quotas, RemoveProperty, SetField, SetProperty, SetTags
from douane.errors import CatalogError, Conflict, NotFound, OverQuota, Protected
from support.catalog import begin, make_ready


def test_each_base_field_can_be_edited(catalog: Catalog) -> None:
    image = catalog.create_image(name="x", owner="me")
    edited = catalog.edit(
        image.id,
        [
            SetField("name", "y"),
            SetField("visibility", "community"),
            SetField("owner", "you"),
            SetField("protected", True),
            SetField("hidden", True),
            SetField("min_disk", 1),
            SetField("min_ram", 2),
            SetField("disk_format", "raw"),
            SetField("container_format", "bare"),
            SetTags(("b", "a", "a")),
            SetProperty("p", "v"),
        ],
    )
    assert edited == catalog.image(image.id)
    assert (edited.name, edited.visibility, edited.owner) == ("y", "community", "you")
    assert (edited.protected, edited.hidden, edited.min_disk, edited.min_ram) == (True, True, 1, 2)
    assert (edited.disk_format, edited.container_format) == ("raw", "bare")
    assert (edited.tags, edited.properties) == (["a", "b"], {"p": "v"})
    assert edited.updated_at > image.updated_at


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (SetField("visibility", "everyone"), "bad-value"),
        (SetField("protected", "true"), "bad-value"),
        (SetField("min_ram", -1), "bad-value"),
        (SetField("status", "active"), "reserved"),
        (SetTags(("",)), "bad-value"),
        (SetProperty("new", "\0"), "bad-value"),
        (SetProperty("old", "2", present=False), "property-exists"),
        (SetProperty("new", "2", present=True), "property-missing"),
        (RemoveProperty("new"), "property-missing"),
        (SetProperty("format.seen", "2"), "reserved"),
        (RemoveProperty("format.seen", present=False), "reserved"),
    ],
)
def test_an_edit_with_a_refused_change_changes_nothing(catalog: Catalog, change: Change, code: str) -> None:
    image = catalog.create_image(name="x", properties={"old": "1"}, tags=["t"])
    task = begin(catalog, image.id)
    make_ready(catalog, task)
    before = catalog.activate(task)
    with pytest.raises(CatalogError) as caught:
        catalog.edit(image.id, [SetField("name", "y"), SetTags(()), SetProperty("another", "1"), change])
    assert caught.value.code == code
    assert catalog.image(image.id) == before


def test_changes_are_made_in_their_order(catalog: Catalog) -> None:
    image = catalog.create_image(name="x", properties={"a": "1"})
    changes = [RemoveProperty("a"), SetProperty("a", "2", present=False), SetProperty("b", "1"), RemoveProperty("b")]
    assert catalog.edit(image.id, changes).properties == {"a": "2"}
    assert catalog.edit(image.id, []).properties == {"a": "2"}


def test_a_tag_is_added_once_and_removed_once(catalog: Catalog) -> None:
    image = catalog.create_image(name="x")
    assert catalog.add_tag(image.id, "a").tags == ["a"]
    assert catalog.add_tag(image.id, "a").tags == ["a"]
    assert catalog.remove_tag(image.id, "a").tags == []
    with pytest.raises(NotFound, match="no tag 'a'"):
        catalog.remove_tag(image.id, "a")
    with pytest.raises(CatalogError, match="at most 255"):
        catalog.add_tag(image.id, "x" * 256)
    catalog.delete(image.id)
    with pytest.raises(Conflict, match="it is deleted"):
        catalog.add_tag(image.id, "b")


def test_quotas_refuse_growth_and_nothing_else(catalog: Catalog) -> None:
    image = catalog.create_image(name="x", properties={"a": "1", "b": "1"}, tags=["a", "b"])
    few = Quotas(properties=1, tags=1)
    for call in (
        lambda: catalog.edit(image.id, [SetProperty("c", "1"), SetField("name", "y")], few),
        lambda: catalog.edit(image.id, [SetTags(("a", "b", "c"))], few),
        lambda: catalog.add_tag(image.id, "c", few),
    ):
        with pytest.raises(OverQuota, match=r"would have 3 .*; at most 1 are allowed"):
            call()
    assert catalog.image(image.id) == image
    assert catalog.add_tag(image.id, "a", few).tags == ["a", "b"]
    edited = catalog.edit(image.id, [SetProperty("a", "2"), SetTags(("z", "y"))], few)
    assert (edited.properties, edited.tags) == ({"a": "2", "b": "1"}, ["y", "z"])
    assert catalog.edit(image.id, [SetProperty("c", "1"), RemoveProperty("b")], few).properties == {"a": "2", "c": "1"}


def test_findings_of_plugins_do_not_count_against_the_quota(catalog: Catalog) -> None:
    task = begin(catalog, catalog.create_image(name="x").id)
    make_ready(catalog, task)
    catalog.activate(task)
    edited = catalog.edit(task.image_id, [SetProperty("a", "1")], Quotas(properties=1))
    assert edited.properties == {"a": "1", "format.seen": "qcow2"}


def test_a_protected_image_cannot_be_deleted_in_any_state(catalog: Catalog) -> None:
    image = catalog.create_image(name="x", protected=True)
    task = None
    for status in ("queued", "importing", "active", "deactivated"):
        if status == "importing":
            task = begin(catalog, image.id)
        elif status == "active":
            make_ready(catalog, task)
            catalog.activate(task)
        elif status == "deactivated":
            catalog.deactivate(image.id)
        with pytest.raises(Protected, match="it is protected; remove the protection first") as caught:
            catalog.delete(image.id)
        assert caught.value.code == "protected"
        assert catalog.image(image.id).status == status
    catalog.edit(image.id, [SetField("protected", False)])
    assert catalog.delete(image.id).status == "deleted"
    with pytest.raises(Conflict):
        catalog.delete(image.id)


def test_protection_does_not_keep_a_failed_import_from_ending(catalog: Catalog) -> None:
    image = catalog.create_image(name="x", protected=True)
    task = begin(catalog, image.id, "remove")
    assert catalog.fail(task, outcome="refused", code="no", message="no").status == "deleted"


NAMES = st.sampled_from(["a", "b", "c"])
CHANGES = st.lists(
    st.builds(SetProperty, NAMES, st.sampled_from(["1", "2"]), st.sampled_from([None, True, False]))
    | st.builds(RemoveProperty, NAMES, st.booleans())
    | st.builds(SetTags, st.lists(NAMES, max_size=3).map(tuple))
    | st.builds(SetField, st.just("name"), NAMES),
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(NAMES, st.just("0")), st.lists(CHANGES, min_size=1, max_size=3))
def test_edits_do_what_the_same_changes_do_to_a_dictionary(properties: dict[str, str], edits: list) -> None:
    with tempfile.TemporaryDirectory(prefix="douane-test-") as folder, Catalog(Path(folder) / "c") as catalog:
        image = catalog.create_image(name="x", properties=properties)
        state = ("x", dict(properties), set())
        for changes in edits:
            expected = expect(state, changes)
            try:
                catalog.edit(image.id, changes)
            except Conflict:
                assert expected is None
            else:
                assert expected is not None
                state = expected
            now = catalog.image(image.id)
            assert (now.name, now.properties, set(now.tags)) == state


def expect(state: tuple[str, dict[str, str], set[str]], changes: list[Change]):
    name, properties, tags = state[0], dict(state[1]), set(state[2])
    for change in changes:
        match change:
            case SetField():
                name = str(change.value)
            case SetTags():
                tags = set(change.tags)
            case SetProperty():
                if change.present not in (None, change.name in properties):
                    return None
                properties[change.name] = change.value
            case RemoveProperty():
                if change.present and change.name not in properties:
                    return None
                properties.pop(change.name, None)
    return name, properties, tags
