"""Images and import tasks: creation, edits, imports, conflicts."""

import json
import re
import uuid
from functools import partial

import msgspec
import pytest

from douane.catalog import Catalog
from douane.errors import BadValue, CatalogError, Conflict, NotFound
from support.catalog import begin, edit, make_ready


def test_a_new_image_is_queued_with_the_declared_facts(catalog: Catalog) -> None:
    image = catalog.create_image(
        name="été", disk_format="raw", container_format="bare", properties={"a": "", "b": "1"}, owner="me"
    )
    assert image == catalog.image(image.id)
    assert (image.status, image.name, image.owner, image.properties) == ("queued", "été", "me", {"a": "", "b": "1"})
    assert str(uuid.UUID(image.id)) == image.id
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", image.created_at)
    assert json.loads(msgspec.json.encode(image))["properties"] == {"a": "", "b": "1"}
    assert catalog.create_image(name=None).name is None


def test_active_images_are_listed_in_pages_also_behind_one_that_was_deleted(catalog: Catalog) -> None:
    ids = []
    for _ in range(4):
        image = catalog.create_image(name="x")
        task = begin(catalog, image.id)
        make_ready(catalog, task, 1)
        ids.append(catalog.activate(task).id)
    catalog.create_image(name="queued")
    ids.sort()
    assert [image.id for image in catalog.active_images(limit=2)] == ids[:2]
    catalog.delete(ids[1])
    catalog.deactivate(ids[2])
    assert [image.id for image in catalog.active_images(ids[1], limit=2)] == ids[3:]


def test_the_id_of_a_deleted_image_is_not_used_again(catalog: Catalog) -> None:
    image = catalog.create_image(name="x", image_id=str(uuid.uuid4()))
    catalog.delete(image.id)
    with pytest.raises(Conflict) as caught:
        catalog.create_image(name="y", image_id=image.id, properties={"a": "b"})
    assert caught.value.code == "exists"
    assert catalog.image(image.id).name == "x"
    assert catalog.image(image.id).properties == {}


def test_an_image_and_its_import_are_created_in_one_step(catalog: Catalog) -> None:
    task_id = str(uuid.uuid4())
    image, task = catalog.begin_new_import(
        task_id=task_id, method="file", plan={}, on_failure="remove", total=5, name="x", properties={"a": "b"}
    )
    assert (image.status, image.task_id, image.properties) == ("importing", task_id, {"a": "b"})
    assert (task.id, task.image_id, task.total) == (task_id, image.id, 5)
    with pytest.raises(CatalogError):
        catalog.begin_new_import(task_id=str(uuid.uuid4()), method="file", plan={}, on_failure="neither", name="y")
    assert [found.name for found in catalog.images()] == ["x"]
    assert catalog.fail(task, outcome="refused", code="no", message="not wanted").status == "deleted"


def test_an_accepted_import_activates_the_image_with_its_results(catalog: Catalog) -> None:
    image = catalog.create_image(name="x", disk_format="raw", properties={"mine": "1"})
    task = begin(catalog, image.id)
    assert task.plan == {"plugins": [{"name": "format", "digest": "00"}]}
    catalog.progress(task, 3, 9)
    assert (catalog.task(task.id).done, catalog.task(task.id).total) == (3, 9)
    ready = make_ready(catalog, task, 7)
    assert (ready.step, ready.properties) == ("publishing", {"format.seen": ("qcow2", "format")})
    active = catalog.activate(task)
    assert (active.status, active.size, active.virtual_size) == ("active", 7, 70)
    assert (active.disk_format, active.container_format) == ("qcow2", "bare")
    assert active.digests == {"sha256": "ab" * 32}
    assert active.properties == {"mine": "1", "format.seen": "qcow2"}
    assert active.sources == {"format.seen": "format"}
    assert active.task_id is None
    tasks = catalog.tasks(image.id)
    assert [(task.outcome, task.report) for task in tasks] == [("accepted", {"verdicts": []})]


def test_formats_that_the_import_did_not_determine_stay_as_declared(catalog: Catalog) -> None:
    image = catalog.create_image(name="x", disk_format="raw", container_format="bare")
    task = begin(catalog, image.id)
    catalog.ready_to_publish(task, report={}, size=0, digests={})
    active = catalog.activate(task)
    assert (active.disk_format, active.container_format, active.size) == ("raw", "bare", 0)


def test_a_refused_image_has_the_reason_until_the_next_import_begins(catalog: Catalog) -> None:
    image = catalog.create_image(name="x")
    task = begin(catalog, image.id)
    again = catalog.fail(
        task, outcome="refused", code="virus", message="Eicar", report={"v": 1}, failed_stores=["file"]
    )
    assert (again.status, again.code, again.message, again.failed_stores) == ("queued", "virus", "Eicar", ["file"])
    assert catalog.task(task.id).report == {"v": 1}
    second = begin(catalog, image.id)
    assert second.token > task.token
    clean = catalog.image(image.id)
    assert (clean.status, clean.code, clean.message, clean.failed_stores) == ("importing", None, None, [])
    assert [task.id for task in catalog.tasks(image.id)] == [task.id, second.id]


def test_the_last_tasks_of_an_image_and_those_before(catalog: Catalog) -> None:
    image, other = catalog.create_image(name="x"), catalog.create_image(name="y")
    ids = []
    for _ in range(5):
        task = begin(catalog, image.id)
        catalog.fail(task, outcome="refused", code="virus", message="Eicar")
        ids.append(task.id)
    elsewhere = begin(catalog, other.id)
    assert [task.id for task in catalog.tasks(image.id, limit=2)] == ids[3:]
    assert [task.id for task in catalog.tasks(image.id, limit=2, marker=ids[3])] == ids[1:3]
    assert [task.id for task in catalog.tasks(image.id, limit=2, marker=ids[1])] == ids[:1]
    assert catalog.tasks(image.id, limit=0) == []
    with pytest.raises(BadValue, match="no task of this image"):
        catalog.tasks(image.id, marker=elsewhere.id)


def test_any_wording_of_a_plugin_ends_the_import(catalog: Catalog) -> None:
    image = catalog.create_image(name="x")
    failure = {"code": "", "message": "half \ud800 a \0 pair" + "!" * 100_000, "report": {"bad": "\ud800"}}
    ended = catalog.fail(begin(catalog, image.id), outcome="undecided", **failure)
    assert (ended.status, ended.code) == ("queued", "unknown")
    assert ended.message.startswith("half \ufffd a \ufffd pair!!!")
    assert len(ended.message) == 65536
    assert "unreadable" in catalog.tasks(image.id)[0].report


def test_an_edit_during_an_import_is_not_lost(catalog: Catalog) -> None:
    image = catalog.create_image(name="before", properties={"keep": "1", "drop": "1", "change": "1"})
    task = begin(catalog, image.id)
    edit(catalog, image.id, changes={"name": "after"})
    make_ready(catalog, task)
    edit(
        catalog,
        image.id,
        set_properties={"change": "2", "new": "2", "format.seen": "mine"},
        remove_properties=["drop", "x"],
    )
    active = catalog.activate(task)
    assert active.name == "after"
    assert active.properties == {"keep": "1", "change": "2", "new": "2", "format.seen": "qcow2"}, "a finding wins"
    edited = edit(catalog, image.id, changes={"name": None}, set_properties={"keep": "3"})
    assert (edited.name, edited.properties["keep"], edited.status) == (None, "3", "active")


def test_the_properties_of_plugins_cannot_be_edited(catalog: Catalog) -> None:
    image = catalog.create_image(name="x")
    task = begin(catalog, image.id)
    make_ready(catalog, task)
    catalog.activate(task)
    for changes in ({"set_properties": {"format.seen": "raw"}}, {"remove_properties": ["format.seen"]}):
        with pytest.raises(CatalogError, match="set by the plugin format") as caught:
            edit(catalog, image.id, changes={"name": "not this either"}, **changes)
        assert caught.value.code == "reserved"
    assert catalog.image(image.id).name == "x"
    assert catalog.image(image.id).properties == {"format.seen": "qcow2"}


@pytest.mark.parametrize(
    "name", ["status", "id", "size", "virtual_size", "digests", "task_id", "token", "tags", "code", "created_at", "x"]
)
def test_reserved_fields_cannot_be_edited(catalog: Catalog, name: str) -> None:
    image = catalog.create_image(name="x")
    with pytest.raises(CatalogError, match="cannot be edited") as caught:
        edit(catalog, image.id, changes={"name": "y", name: "active"})
    assert caught.value.code == "reserved"
    assert catalog.image(image.id) == image


def test_formats_can_be_edited_only_while_queued(catalog: Catalog) -> None:
    image = catalog.create_image(name="x", disk_format="raw")
    assert edit(catalog, image.id, changes={"disk_format": "vmdk"}).disk_format == "vmdk"
    begin(catalog, image.id)
    with pytest.raises(Conflict) as caught:
        edit(catalog, image.id, changes={"name": "y", "disk_format": "raw"}, set_properties={"a": "b"})
    assert (caught.value.actual, caught.value.expected) == ("importing", "queued")
    assert (catalog.image(image.id).name, catalog.image(image.id).properties) == ("x", {})


def test_a_conflict_names_the_actual_and_the_expected_state(catalog: Catalog) -> None:
    image = catalog.create_image(name="x")
    with pytest.raises(Conflict) as caught:
        catalog.deactivate(image.id)
    assert (caught.value.code, caught.value.actual, caught.value.expected) == ("wrong-state", "queued", "active")
    assert str(caught.value) == f"cannot deactivate image {image.id}: it is queued, and must be active"
    task = begin(catalog, image.id)
    catalog.delete(image.id)
    with pytest.raises(Conflict, match=r"it has ended \(cancelled\); stop, and discard") as caught:
        catalog.progress(task, 1)
    assert (caught.value.code, caught.value.actual) == ("lost-task", "cancelled")
    assert catalog.task(task.id).code == "image-deleted"


@pytest.mark.parametrize("step", ["receiving", "publishing"])
def test_a_replaced_worker_changes_nothing(catalog: Catalog, step: str) -> None:
    image = catalog.create_image(name="x")
    old = begin(catalog, image.id)
    if step == "publishing":
        make_ready(catalog, old)
    new = catalog.take_over(old)
    original = (catalog.image(image.id), catalog.task(new.id))
    for late in (
        lambda: catalog.progress(old, 1),
        lambda: catalog.note(old, message="late", report={"late": True}),
        lambda: make_ready(catalog, old, 99),
        lambda: catalog.activate(old),
        lambda: catalog.fail(old, outcome="refused", code="late", message="late"),
        lambda: catalog.take_over(old),
    ):
        with pytest.raises(Conflict, match="another worker has taken it over; stop, and discard") as caught:
            late()
        assert (caught.value.code, caught.value.actual, caught.value.expected) == ("lost-task", "token 2", "token 1")
        assert (catalog.image(image.id), catalog.task(new.id)) == original
    catalog.progress(new, 5)


def test_the_last_steps_are_idempotent(catalog: Catalog) -> None:
    image = catalog.create_image(name="x")
    refused = begin(catalog, image.id)
    failure = {"outcome": "refused", "code": "no", "message": "no"}
    assert catalog.fail(refused, **failure) == catalog.fail(refused, **failure)
    task = begin(catalog, image.id)
    assert catalog.fail(refused, **failure).status == "importing", "the old failure touches no later import"
    make_ready(catalog, task)
    assert catalog.activate(task) == catalog.activate(task)
    with pytest.raises(Conflict, match="has ended"):
        catalog.fail(task, **failure)
    assert catalog.image(image.id).status == "active"


def test_an_id_can_be_abbreviated(catalog: Catalog) -> None:
    first, second, deleted = (f"abcd{n}000-0000-4000-8000-000000000000" for n in "123")
    for image_id in (first, second, deleted):
        catalog.create_image(name="x", image_id=image_id)
    catalog.delete(deleted)
    assert catalog.find("abcd1").id == first
    assert catalog.find(deleted).status == "deleted", "a whole id finds a deleted image too"
    with pytest.raises(CatalogError, match="2 images have ids that begin with abcd") as caught:
        catalog.find("abcd")
    assert caught.value.code == "ambiguous"
    for prefix in ("abc", "abcd3", "ffff", "", "%%%%", "abcd_", "\0\0\0\0"):
        with pytest.raises(NotFound):
            catalog.find(prefix)


def test_images_are_listed_oldest_first_and_filtered(catalog: Catalog) -> None:
    images = [catalog.create_image(name=name, owner=name, properties={"n": name}) for name in ("c", "a", "b")]
    begin(catalog, images[1].id)
    catalog.delete(images[2].id)
    assert [image.name for image in catalog.images()] == ["c", "a"]
    assert [image.properties for image in catalog.images(include_deleted=True)] == [{"n": n} for n in "cab"]
    assert [image.name for image in catalog.images(status="importing")] == ["a"]
    assert [image.name for image in catalog.images(status="deleted")] == ["b"]
    assert [image.name for image in catalog.images(owner="c", name="c")] == ["c"]
    assert catalog.images(name="' OR 1=1 --") == []
    for filters in ({"size": "1"}, {"status": "gone"}):
        with pytest.raises(CatalogError, match="must be one of"):
            catalog.images(**filters)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "a\0b"}, "the name has a character that is not text"),
        ({"name": "\ud800"}, "the name has a character that is not text"),
        ({"name": "x" * 256}, "the name has 256 characters; at most 255 are kept"),
        ({"name": 7}, "the name must be text, not int"),
        ({"name": "x", "disk_format": ""}, "the disk format must not be empty"),
        ({"name": "x", "properties": {"": "v"}}, "the name of a property must not be empty"),
        ({"name": "x", "properties": {"p": None}}, "the property 'p' must be text, not NoneType"),
        ({"name": "x", "properties": {"p": "v" * 65537}}, "at most 65536 are kept"),
        ({"name": "x", "image_id": "../x"}, "is not an id"),
    ],
)
def test_bad_values_are_refused(catalog: Catalog, fields: dict, words: str) -> None:
    with pytest.raises(CatalogError, match=re.escape(words)) as caught:
        catalog.create_image(**fields)
    assert caught.value.code == "bad-value"
    assert catalog.images() == []


@pytest.mark.parametrize("size", [-1, 2**63, 1.5, True, None])
def test_a_size_is_a_count_of_bytes(catalog: Catalog, size: object) -> None:
    task = begin(catalog, catalog.create_image(name="x").id)
    with pytest.raises(CatalogError, match="whole number of bytes"):
        catalog.ready_to_publish(task, report={}, size=size, digests={})
    assert catalog.task(task.id).step == "receiving"


def test_unknown_ids_are_not_found(catalog: Catalog) -> None:
    missing = str(uuid.uuid4())
    for ask in (
        catalog.image,
        partial(edit, catalog),
        catalog.delete,
        catalog.deactivate,
        catalog.reactivate,
        catalog.task,
    ):
        with pytest.raises(NotFound, match=missing):
            ask(missing)
    with pytest.raises(NotFound, match=missing):
        begin(catalog, missing)
    assert catalog.unfinished() == []


@pytest.mark.parametrize("bad", ["a\0b", "\ud800", "x" * 70000, "' OR 1=1 --"])
def test_an_id_that_no_image_can_have_is_refused_everywhere(catalog: Catalog, bad: str) -> None:
    for call in (
        catalog.image,
        catalog.delete,
        catalog.deactivate,
        catalog.task,
        partial(edit, catalog),
        partial(begin, catalog),
        partial(catalog.cancel, message="no"),
        partial(catalog.add_store, store="s"),
        partial(catalog.take, token=1, worker="w"),
    ):
        with pytest.raises(CatalogError) as caught:
            call(bad)
        assert caught.value.code in ("bad-value", "not-found")
