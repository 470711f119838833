"""Members of a shared image, and the copies of an image in stores."""

import pytest

from douane.catalog import Catalog
from douane.catalog.query import Quotas, SetField
from douane.errors import CatalogError, Conflict, NotFound, OverQuota
from support.catalog import begin, make_ready


def active(catalog: Catalog) -> str:
    task = begin(catalog, catalog.create_image(name="x").id)
    make_ready(catalog, task)
    return catalog.activate(task).id


def test_a_member_answers_and_is_removed(catalog: Catalog) -> None:
    image = catalog.create_image(name="x", owner="me")
    member = catalog.add_member(image.id, "you")
    assert (member.image_id, member.project, member.status) == (image.id, "you", "pending")
    catalog.add_member(image.id, "them")
    for status in ("accepted", "rejected", "pending"):
        answered = catalog.answer_member(image.id, "you", status)
        assert answered == catalog.member(image.id, "you")
        assert (answered.status, answered.created_at) == (status, member.created_at)
        assert answered.updated_at > member.updated_at
    assert [member.project for member in catalog.members(image.id)] == ["you", "them"]
    catalog.remove_member(image.id, "you")
    assert [member.project for member in catalog.members(image.id)] == ["them"]
    assert catalog.image(image.id) == image, "members do not update the image"


def test_changes_of_members_that_do_not_fit_are_refused(catalog: Catalog) -> None:
    image = catalog.create_image(name="x")
    catalog.add_member(image.id, "you")
    catalog.answer_member(image.id, "you", "accepted")
    before = catalog.members(image.id)
    for error, code, call in (
        (Conflict, "exists", lambda: catalog.add_member(image.id, "you")),
        (OverQuota, "over-quota", lambda: catalog.add_member(image.id, "them", Quotas(members=1))),
        (CatalogError, "bad-value", lambda: catalog.add_member(image.id, "")),
        (CatalogError, "bad-value", lambda: catalog.answer_member(image.id, "you", "maybe")),
        (NotFound, "not-found", lambda: catalog.answer_member(image.id, "them", "accepted")),
        (NotFound, "not-found", lambda: catalog.remove_member(image.id, "them")),
        (NotFound, "not-found", lambda: catalog.member(image.id, "them")),
        (NotFound, "not-found", lambda: catalog.add_member("00000000-0000-4000-8000-000000000000", "you")),
    ):
        with pytest.raises(error) as caught:
            call()
        assert caught.value.code == code
        assert catalog.members(image.id) == before


@pytest.mark.parametrize("visibility", ["private", "public", "community"])
def test_only_a_shared_image_gets_members(catalog: Catalog, visibility: str) -> None:
    image = catalog.create_image(name="x")
    catalog.add_member(image.id, "you")
    catalog.edit(image.id, [SetField("visibility", visibility)])
    with pytest.raises(Conflict, match=f"is {visibility}; only a shared image has members") as caught:
        catalog.add_member(image.id, "them")
    assert (caught.value.code, caught.value.actual) == ("not-shared", visibility)
    catalog.remove_member(image.id, "you")
    assert catalog.members(image.id) == []


def test_the_members_of_a_deleted_image_do_not_change(catalog: Catalog) -> None:
    image = catalog.create_image(name="x")
    catalog.add_member(image.id, "you")
    catalog.delete(image.id)
    for call in (
        lambda: catalog.add_member(image.id, "them"),
        lambda: catalog.answer_member(image.id, "you", "accepted"),
        lambda: catalog.remove_member(image.id, "you"),
    ):
        with pytest.raises(Conflict, match="it is deleted"):
            call()


def test_copies_are_recorded_and_the_last_stays(catalog: Catalog) -> None:
    image_id = active(catalog)
    assert catalog.add_store(image_id, "slow").stores == ["file", "slow"]
    assert catalog.add_store(image_id, "slow").stores == ["file", "slow"]
    assert catalog.remove_store(image_id, "file").stores == ["slow"]
    with pytest.raises(NotFound, match="holds no copy"):
        catalog.remove_store(image_id, "file")
    with pytest.raises(Conflict) as caught:
        catalog.remove_store(image_id, "slow")
    assert caught.value.code == "last-copy"
    assert catalog.image(image_id).stores == ["slow"]
    assert catalog.delete(image_id).stores == ["slow"]
    with pytest.raises(Conflict):
        catalog.add_store(image_id, "late")
    assert catalog.remove_store(image_id, "slow").stores == []


def test_an_image_without_bytes_has_no_copies(catalog: Catalog) -> None:
    image = catalog.create_image(name="x")
    with pytest.raises(Conflict, match="it is queued, and must be active or deactivated"):
        catalog.add_store(image.id, "file")


def test_copies_of_deleted_images_are_listed_until_they_are_gone(catalog: Catalog) -> None:
    image_id, kept = active(catalog), active(catalog)
    catalog.add_store(image_id, "slow")
    assert catalog.copies_of_deleted() == []
    catalog.delete(image_id)
    assert sorted(catalog.copies_of_deleted()) == [(image_id, "file"), (image_id, "slow")]
    catalog.remove_store(image_id, "file")
    assert catalog.copies_of_deleted() == [(image_id, "slow")]
    catalog.remove_store(image_id, "slow")
    assert catalog.copies_of_deleted() == []
    assert catalog.image(kept).stores == ["file"]
