"""Uploads: bytes are staged, judged, and imported when that is requested."""

import msgspec
import pytest

from douane.catalog import Catalog, CopyFacts, ImportRequest, Task, UploadQuotas
from douane.catalog.query import SetField, SetProperty
from douane.errors import BadValue, CatalogError, Conflict, NotFound, OverQuota
from support.catalog import PLAN, make_ready
from support.catalog import record_staged as stage

REQUEST = ImportRequest(owner="p", user_id="u", request_id="req-1", import_req={"method": {}}, stores=("file",))


def upload(catalog: Catalog, method: str = "glance-direct", **arguments: object) -> Task:
    image = catalog.create_image(name="x", disk_format="raw", container_format="bare", owner="p")
    arguments = {"plan": PLAN, "worker": "door", "request": ImportRequest(), **arguments}
    return catalog.begin_upload(image.id, method=method, **arguments)


def request(catalog: Catalog, task: Task, **arguments: object) -> Task:
    arguments = {"request": REQUEST, "plan": PLAN, "worker": "door", **arguments}
    return catalog.request_import(task.image_id, **arguments)


def test_a_stage_leaves_an_image_with_data_whose_import_is_not_requested(catalog: Catalog) -> None:
    task = upload(catalog, total=9)
    assert catalog.image(task.image_id).status == "uploading"
    assert (task.worker, task.requested, task.step, task.attempts) == ("door", False, "receiving", 0)
    staged = stage(catalog, task)
    assert (staged.step, staged.verdict, staged.outcome, staged.worker) == ("staged", "accepted", None, None)
    assert staged.source == {"staged": task.staged_key, "store": "file"}
    image = catalog.image(task.image_id)
    assert (image.status, image.size, image.disk_format) == ("uploading", 5, "raw")
    assert catalog.tasks(task.image_id) == []
    assert catalog.tasks(task.image_id, requested_only=False) == [staged]


def test_an_import_of_judged_bytes_needs_no_further_run(catalog: Catalog) -> None:
    task = stage(catalog, upload(catalog))
    requested = request(catalog, task)
    assert (requested.step, requested.worker, requested.requested) == ("publishing", "door", True)
    assert requested.token > task.token
    assert (requested.request_id, requested.user_id, requested.owner) == ("req-1", "u", "p")
    assert catalog.image(task.image_id).status == "importing"
    image = catalog.activate(requested, ["file"])
    assert (image.status, image.size, image.disk_format, image.stores) == ("active", 5, "qcow2", ["file"])
    assert image.properties == {"format.seen": "qcow2"}
    assert [(each.outcome, each.worker) for each in catalog.tasks(task.image_id)] == [("accepted", None)]


@pytest.mark.parametrize(
    ("stores", "transformed", "verdict"),
    [(("file",), ("file",), None), (("file", "ceph"), ("ceph",), "accepted"), (("ceph", "lvm"), ("ceph", "lvm"), None)],
)
def test_stores_with_a_transform_need_a_worker(
    catalog: Catalog, stores: tuple[str, ...], transformed: tuple[str, ...], verdict: str | None
) -> None:
    task = stage(catalog, upload(catalog))
    waiting = request(catalog, task, request=msgspec.structs.replace(REQUEST, stores=stores), transformed=transformed)
    assert (waiting.step, waiting.worker, waiting.verdict) == ("waiting", None, verdict)


def test_a_copy_that_a_transform_made_has_facts_of_its_own(catalog: Catalog) -> None:
    facts = CopyFacts(size=7, virtual_size=9, disk_format="raw", container_format="bare", digests={"sha256": "ab"})
    begun = upload(catalog, "upload", request=ImportRequest(stores=("file", "ceph")))
    task = make_ready(catalog, begun, variants={"ceph": facts})
    assert task.variants == {"ceph": facts}
    image = catalog.activate(task)
    assert (image.stores, image.own_stores, image.variants) == (["ceph", "file"], ["file"], {"ceph": facts})
    assert catalog.usage(image.owner).size_total == (image.size or 0) + 7
    with pytest.raises(Conflict, match="ceph hold what was made of it"):
        catalog.remove_store(image.id, "file")
    assert catalog.remove_store(image.id, "ceph").variants == {}


@pytest.mark.parametrize("change", ["plan", "plan_digest", "name", "property", "roles"])
def test_a_verdict_on_other_facts_does_not_hold(catalog: Catalog, change: str) -> None:
    task = stage(catalog, upload(catalog))
    arguments: dict[str, object] = {}
    if change == "plan":
        arguments["plan"] = {"plugins": []}
    if change == "plan_digest":
        arguments["plan_digest"] = "of other code"
    if change == "name":
        catalog.edit(task.image_id, [SetField("name", "y")])
    if change == "property":
        catalog.edit(task.image_id, [SetProperty("licence", "none")])
    if change == "roles":
        arguments["request"] = ImportRequest(roles=("admin",))
    waiting = request(catalog, task, **arguments)
    assert (waiting.step, waiting.verdict, waiting.worker) == ("waiting", None, None)
    assert waiting.source == {"staged": task.staged_key, "store": "file"}
    again = catalog.claim("w")
    assert again is not None
    image = catalog.image(task.image_id)
    assert again.declared is not None
    assert (again.declared.name, again.declared.properties) == (image.name, image.properties)
    assert again.staged_key not in (None, task.staged_key)
    assert catalog.activate(make_ready(catalog, again)).status == "active"


def test_further_stores_are_filled_without_another_run(catalog: Catalog) -> None:
    task = stage(catalog, upload(catalog))
    waiting = request(catalog, task, request=ImportRequest(stores=("file", "ceph")))
    assert (waiting.step, waiting.verdict, waiting.size, waiting.stores) == ("waiting", "accepted", 5, ["ceph", "file"])


@pytest.mark.parametrize("wanted", [("a",), ("b", "c"), ("a", "b", "c")])
def test_bytes_that_are_staged_in_all_stores_of_the_request_need_no_worker(
    catalog: Catalog, wanted: tuple[str, ...]
) -> None:
    task = stage(catalog, upload(catalog), store="b", further_stores=["c", "a"])
    assert task.source == {"staged": task.staged_key, "store": "a", "stores": ["a", "b", "c"]}
    ready = request(catalog, task, request=ImportRequest(stores=wanted))
    assert (ready.step, ready.stores, ready.source) == ("publishing", list(wanted), task.source)
    assert catalog.activate(ready, wanted).stores == list(wanted)


@pytest.mark.parametrize("wanted", [("d",), ("a", "d")])
def test_bytes_that_are_not_staged_in_a_store_of_the_request_wait_for_a_worker(
    catalog: Catalog, wanted: tuple[str, ...]
) -> None:
    task = stage(catalog, upload(catalog), store="a", further_stores=["b"])
    waiting = request(catalog, task, request=ImportRequest(stores=wanted))
    assert (waiting.step, waiting.verdict, waiting.source) == ("waiting", "accepted", task.source)


def test_the_import_of_refused_bytes_fails_at_once(catalog: Catalog) -> None:
    task = stage(catalog, upload(catalog), outcome="refused", code="virus", message="Eicar", size=None, store=None)
    assert (task.step, task.verdict, task.outcome) == ("staged", "refused", None)
    refused = request(catalog, task)
    assert (refused.step, refused.outcome, refused.code, refused.message) == ("done", "refused", "virus", "Eicar")
    image = catalog.image(task.image_id)
    assert (image.status, image.code, image.message, image.failed_stores) == ("queued", "virus", "Eicar", ["file"])
    assert image.size is None
    assert catalog.tasks(task.image_id) == [refused]


def test_an_import_is_refused_while_its_data_arrives_and_when_it_was_requested(catalog: Catalog) -> None:
    task = upload(catalog)
    with pytest.raises(Conflict, match="still being received") as caught:
        request(catalog, task)
    assert (caught.value.code, caught.value.actual) == ("wrong-state", "receiving")
    stage(catalog, task)
    request(catalog, task)
    with pytest.raises(Conflict, match="it is importing, and must be uploading"):
        request(catalog, task)
    with pytest.raises(NotFound):
        catalog.request_import(task.id, request=REQUEST, plan=PLAN, worker="door")
    queued = catalog.create_image(name="q")
    with pytest.raises(Conflict, match="it is queued, and must be uploading"):
        catalog.request_import(queued.id, request=REQUEST, plan=PLAN, worker="door")


def test_a_stage_that_fails_leaves_the_image_queued(catalog: Catalog) -> None:
    task = upload(catalog)
    image = catalog.fail(task, outcome="undecided", code="cut", message="the sender gave up")
    assert (image.status, image.code, image.size, image.task_id) == ("queued", "cut", None, None)
    assert [each.code for each in catalog.tasks(task.image_id)] == ["cut"]
    again = catalog.begin_upload(image.id, method="upload", plan=PLAN, worker="door", request=REQUEST)
    assert again.token > task.token
    assert catalog.image(image.id).status == "importing"
    assert [each.id for each in catalog.tasks(image.id)] == [task.id, again.id]


def test_a_worker_that_recorded_its_result_cannot_end_the_requested_import(catalog: Catalog) -> None:
    task = stage(catalog, upload(catalog))
    request(catalog, task)
    with pytest.raises(Conflict) as caught:
        catalog.fail(task, outcome="undecided", code="late", message="late")
    assert caught.value.code == "lost-task"
    assert not catalog.is_current(task)
    assert catalog.image(task.image_id).status == "importing"


def test_accepted_bytes_have_a_size_and_a_place(catalog: Catalog) -> None:
    task = upload(catalog)
    for missing in ({"size": None}, {"store": None}):
        with pytest.raises(BadValue, match="need a size and the store"):
            stage(catalog, task, **missing)
    assert catalog.task(task.id) == task


def test_formats_are_fixed_and_other_fields_can_be_edited_during_an_upload(catalog: Catalog) -> None:
    task = upload(catalog)
    with pytest.raises(Conflict):
        catalog.edit(task.image_id, [SetField("disk_format", "raw")])
    catalog.edit(task.image_id, [SetField("name", "y"), SetField("min_ram", 3)])
    requested = request(catalog, stage(catalog, task))
    assert requested.step == "waiting"
    catalog.edit(task.image_id, [SetField("name", "z")])
    claimed = catalog.claim("w")
    assert claimed is not None
    image = catalog.activate(make_ready(catalog, claimed))
    assert (image.name, image.min_ram, image.status) == ("z", 3, "active")


@pytest.mark.parametrize("step", ["receiving", "staged", "requested"])
def test_a_deleted_image_ends_its_upload(catalog: Catalog, step: str) -> None:
    task = upload(catalog)
    if step != "receiving":
        task = stage(catalog, task)
    if step == "requested":
        task = request(catalog, task)
    catalog.delete(task.image_id)
    (ended,) = catalog.tasks(task.image_id)
    assert (ended.step, ended.outcome, ended.worker) == ("done", "cancelled", None)
    assert not catalog.is_current(task)
    with pytest.raises(Conflict) as caught:
        catalog.activate(task)
    assert caught.value.code == "lost-task"


@pytest.mark.parametrize(
    ("quotas", "words"),
    [
        (UploadQuotas(uploading=1), "2 uploads at once; at most 1"),
        (UploadQuotas(staged_total=14), "15 bytes of staged data; at most 14"),
    ],
)
def test_an_upload_over_a_quota_changes_nothing(catalog: Catalog, quotas: UploadQuotas, words: str) -> None:
    first = upload(catalog, total=9)
    image = catalog.create_image(name="x", owner="p")
    arguments = {"method": "glance-direct", "plan": PLAN, "worker": "door", "request": ImportRequest()}
    with pytest.raises(OverQuota, match=words):
        catalog.begin_upload(image.id, total=6, quotas=quotas, **arguments)
    assert catalog.image(image.id) == image
    assert catalog.tasks(image.id, requested_only=False) == []
    catalog.fail(first, outcome="undecided", code="cut", message="cut")
    assert catalog.begin_upload(image.id, total=6, quotas=quotas, **arguments).total == 6
    other = catalog.create_image(name="x", owner="another")
    assert catalog.begin_upload(other.id, total=6, quotas=quotas, **arguments).total == 6


def test_an_import_over_the_total_size_changes_nothing(catalog: Catalog) -> None:
    for method, step in (("upload", None), ("glance-direct", "staged")):
        task = upload(catalog, "upload", total=5)
        catalog.activate(make_ready(catalog, task))
        used = catalog.usage("p").size_total
        quotas = UploadQuotas(size_total=used + 4)
        if step is None:
            with pytest.raises(OverQuota, match=f"{used + 5} bytes of images; at most {used + 4}"):
                upload(catalog, method, total=5, quotas=quotas)
            assert upload(catalog, method, quotas=quotas).step == "receiving"
            with pytest.raises(OverQuota, match="bytes of images"):
                upload(catalog, method, quotas=UploadQuotas(size_total=used))
        else:
            staged = stage(catalog, upload(catalog, method))
            with pytest.raises(OverQuota, match="bytes of images"):
                request(catalog, staged, quotas=quotas)
            assert catalog.task(staged.id) == staged
            assert catalog.image(staged.image_id).status == "uploading"


def test_the_usage_of_a_project_counts_stores_and_staged_bytes(catalog: Catalog) -> None:
    for image_stores in (["a"], ["a", "b"]):
        catalog.activate(make_ready(catalog, upload(catalog, "upload")), image_stores)
    gone = upload(catalog, "upload")
    catalog.activate(make_ready(catalog, gone), ["a"])
    catalog.delete(gone.image_id)
    stage(catalog, upload(catalog))
    upload(catalog, total=7)
    upload(catalog, "upload", total=100)
    usage = catalog.usage("p")
    assert (usage.count, usage.size_total, usage.staged_total, usage.uploading) == (5, 15, 12, 3)
    empty = catalog.usage(None)
    assert (empty.count, empty.size_total, empty.staged_total, empty.uploading) == (0, 0, 0, 0)


def test_staged_bytes_count_in_each_store_in_which_they_lie(catalog: Catalog) -> None:
    def staged_total() -> int:
        return catalog.usage("p").staged_total

    several = ImportRequest(stores=("a", "b", "c"))
    task = upload(catalog, total=5, request=several)
    assert staged_total() == 15
    task = stage(catalog, task, store="a", further_stores=["c"])  # "b" has failed
    assert staged_total() == 10
    waiting = request(catalog, task, request=ImportRequest(stores=("a", "b", "c", "d")))
    assert (waiting.step, staged_total()) == ("waiting", 10)
    refused = stage(catalog, upload(catalog, request=several), outcome="refused", code="bad", message="bad", store=None)
    assert staged_total() == 15
    for ended in (waiting, refused):
        catalog.delete(ended.image_id)
    image = catalog.create_image(name="x", owner="p")
    catalog.begin_queued(image.id, method="web-download", plan=PLAN, request=several, source={"url": "x"}, total=7)
    assert staged_total() == 7


def test_an_upload_that_is_staged_in_several_stores_needs_room_in_the_quota_for_each(catalog: Catalog) -> None:
    several = ImportRequest(stores=("a", "b", "c"))
    quotas = UploadQuotas(staged_total=14)
    with pytest.raises(OverQuota, match="15 bytes of staged data; at most 14"):
        upload(catalog, total=5, request=several, quotas=quotas)
    assert upload(catalog, total=4, request=several, quotas=quotas).total == 4


def test_a_quota_of_images_counts_those_of_the_owner(catalog: Catalog) -> None:
    first = catalog.create_image(name="a", owner="p", quota=1)
    catalog.create_image(name="b", owner="another", quota=1)
    with pytest.raises(OverQuota, match="has 1 image, the most that it may have"):
        catalog.create_image(name="c", owner="p", quota=1)
    catalog.delete(first.id)
    assert catalog.create_image(name="d", owner="p", quota=1).name == "d"
    assert {image.name for image in catalog.images()} == {"b", "d"}


@pytest.mark.parametrize("method", ["copy-image", "web-download", ""])
def test_an_upload_has_one_of_two_methods(catalog: Catalog, method: str) -> None:
    with pytest.raises(CatalogError, match="must be one of glance-direct, upload"):
        upload(catalog, method)
