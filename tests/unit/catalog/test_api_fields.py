"""The fields of images and tasks that the Image API shows."""

import pytest

from douane.catalog import Catalog, ImportRequest
from douane.errors import CatalogError
from support.catalog import PLAN, begin, make_ready


def test_an_image_of_the_api_is_shared_and_one_of_the_command_line_is_private(catalog: Catalog) -> None:
    image = catalog.create_image(name="x", owner="me")
    assert (image.visibility, image.protected, image.hidden) == ("shared", False, False)
    assert (image.min_disk, image.min_ram, image.tags, image.stores) == (0, 0, [], [])
    task_id = "00000000-0000-4000-8000-000000000001"
    imported, _ = catalog.begin_new_import(task_id=task_id, method="file", plan={}, on_failure="remove", name="y")
    assert (imported.visibility, imported.owner) == ("private", None)


def test_a_new_image_has_the_declared_fields_and_each_tag_once(catalog: Catalog) -> None:
    image = catalog.create_image(
        name="x",
        visibility="public",
        protected=True,
        hidden=True,
        min_disk=2,
        min_ram=2**40,
        tags=["b", "a", "b"],
    )
    assert (image.visibility, image.protected, image.hidden) == ("public", True, True)
    assert (image.min_disk, image.min_ram, image.tags) == (2, 2**40, ["a", "b"])


@pytest.mark.parametrize(
    "fields",
    [
        {"visibility": "everyone"},
        {"visibility": None},
        {"protected": 1},
        {"hidden": "false"},
        {"min_disk": -1},
        {"min_ram": 2**63},
        {"min_ram": True},
        {"tags": [""]},
        {"tags": ["x" * 256]},
        {"tags": [7]},
        {"owner": ""},
    ],
)
def test_bad_values_of_the_declared_fields_are_refused(catalog: Catalog, fields: dict) -> None:
    with pytest.raises(CatalogError) as caught:
        catalog.create_image(name="x", **fields)
    assert caught.value.code == "bad-value"
    assert catalog.images() == []


def test_the_hashes_of_the_api_come_from_the_digests(catalog: Catalog) -> None:
    def active(digests: dict[str, str]):
        task = begin(catalog, catalog.create_image(name="x").id)
        catalog.ready_to_publish(task, report={}, size=1, digests=digests)
        return catalog.activate(task)

    every = {"md5": "1" * 32, "sha256": "2" * 64, "sha512": "3" * 128}
    image = active(every)
    assert (image.checksum, image.os_hash_algo, image.os_hash_value) == ("1" * 32, "sha512", "3" * 128)
    image = active({"sha256": "2" * 64})
    assert (image.checksum, image.os_hash_algo, image.os_hash_value) == (None, "sha256", "2" * 64)
    image = active({})
    assert (image.checksum, image.os_hash_algo, image.os_hash_value) == (None, None, None)


def test_an_active_image_names_the_stores_that_hold_it(catalog: Catalog) -> None:
    task = begin(catalog, catalog.create_image(name="x").id)
    make_ready(catalog, task)
    assert catalog.activate(task).stores == ["file"], "the only store of the command line"
    request = ImportRequest(stores=("fast", "slow", "fast"))
    for stores, expected in ((None, ["fast", "slow"]), (["slow"], ["slow"])):
        image = catalog.create_image(name="x")
        task = catalog.begin_import(image.id, method="d", plan=PLAN, on_failure="requeue", request=request)
        assert (task.stores, catalog.image(image.id).stores) == (["fast", "slow"], [])
        make_ready(catalog, task)
        assert catalog.activate(task, stores).stores == expected
        assert catalog.delete(image.id).stores == expected, "the caller deletes the bytes there"


def test_a_task_has_the_facts_of_its_request(catalog: Catalog) -> None:
    body = {"method": {"name": "web-download", "uri": "https://example.org/é"}, "stores": ["a"]}
    request = ImportRequest(
        owner="project",
        user_id="user",
        request_id="req-1",
        import_req=body,
        stores=("a",),
        expires_at="2026-12-01T00:00:00.000000Z",
    )
    image = catalog.create_image(name="x")
    task = catalog.begin_import(image.id, method="web-download", plan=PLAN, on_failure="requeue", request=request)
    task = catalog.take_over(task)
    assert (task.owner, task.user_id, task.request_id, task.import_req) == ("project", "user", "req-1", body)
    assert (task.stores, task.expires_at) == (["a"], "2026-12-01T00:00:00.000000Z")
