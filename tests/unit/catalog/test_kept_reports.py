"""What imports said of an image stays as long as the image, when their tasks have expired."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select, update

from douane.catalog import AcceptedImport, Catalog, CopyFacts, ImportRequest, Task
from douane.catalog.schema import images, reports
from douane.catalog.states import DELETE, step
from douane.errors import NotFound
from support.catalog import PLAN, make_ready

ON_SERVERS = [pytest.param(name, marks=pytest.mark.libraries) for name in ("postgresql", "mariadb")]
PAST = "2026-01-01T00:00:00.000000Z"
REQUEST = ImportRequest(owner="p", expires_at=PAST)
VARIANT = CopyFacts(size=1, virtual_size=1, disk_format="raw", container_format="bare", digests={"sha256": "c" * 64})


def imported(catalog: Catalog, **report: Any) -> Task:
    """The task of an image that is active; it has expired."""
    image = catalog.create_image(name="x", properties={"os": "debian"})
    task = catalog.begin_import(image.id, method="x", plan=PLAN, on_failure="requeue", request=REQUEST)
    catalog.activate(make_ready(catalog, task, report={"verdicts": [], **report}))
    return catalog.task(task.id)


def copied(catalog: Catalog, image_id: str, *stores: str, report: Any, variants: dict[str, CopyFacts]) -> Task:
    catalog.begin_queued(
        image_id, method="copy-image", plan=PLAN, request=ImportRequest(stores=stores, expires_at=PAST)
    )
    task = catalog.claim("w")
    assert task is not None
    catalog.finish_copy(task, stores, report=report, variants=variants)
    return task


def accepted(catalog: Catalog, image_id: str) -> list[AcceptedImport]:
    return catalog.accepted_imports([image_id]).get(image_id, [])


def due(catalog: Catalog) -> None:
    """It is time to look at all reports again."""
    with catalog._database.write() as connection:
        connection.execute(update(reports).values(check_at=PAST))


def test_the_report_outlives_the_task_and_goes_with_the_image(catalog: Catalog) -> None:
    task, other = imported(catalog, summary="ä"), imported(catalog)
    before = accepted(catalog, task.image_id)
    assert [(kept.id, kept.report, kept.declared) for kept in before] == [(task.id, task.report, task.declared)]
    assert catalog.remove_ended() == 2
    assert accepted(catalog, task.image_id) == before
    with pytest.raises(NotFound):
        catalog.task(task.id)
    assert (catalog.all_tasks(), catalog.tasks(task.image_id), catalog.last_tasks([task.image_id])) == ([], [], {})
    catalog.deactivate(task.image_id)
    catalog.delete(task.image_id)
    assert catalog.accepted_imports([task.image_id, other.image_id]).keys() == {other.image_id}


def test_nothing_stays_of_images_that_are_deleted_or_were_not_let_in(catalog: Catalog) -> None:
    deleted = imported(catalog)
    catalog.delete(deleted.image_id)
    refused = catalog.create_image(name="x")
    task = catalog.begin_import(refused.id, method="x", plan=PLAN, on_failure="requeue", request=REQUEST)
    catalog.fail(task, outcome="refused", code="no", message="no", report={"verdicts": []})
    assert catalog.remove_ended() == 2
    assert catalog.accepted_imports([deleted.image_id, refused.id]) == {}


def test_an_image_that_an_older_release_deletes_loses_its_report_later(catalog: Catalog) -> None:
    gone, here = imported(catalog), imported(catalog)
    catalog.remove_ended()
    with catalog._database.write() as connection:
        connection.execute(update(images).where(images.c.id == gone.image_id).values(status="deleted"))
    assert catalog.forget_deleted_reports() == 0, "it is not time yet"
    due(catalog)
    assert catalog.forget_deleted_reports() == 1
    assert catalog.accepted_imports([gone.image_id, here.image_id]).keys() == {here.image_id}
    with catalog._database.read() as connection:
        assert connection.execute(select(reports.c.check_at)).scalar_one() > PAST, "and is looked at later"


def test_of_copies_the_reports_of_their_variants_stay_until_these_are_made_again(catalog: Catalog) -> None:
    image_id = imported(catalog).image_id

    def copy(*variants: str, plain: tuple[str, ...] = ()) -> str:
        made = dict.fromkeys(variants, VARIANT)
        report = {"variants": dict.fromkeys(variants, "…")} if variants else {"outcome": "undecided"}
        task = copied(catalog, image_id, *variants, *plain, report=report, variants=made)
        for store in (*variants, *plain):
            catalog.remove_store(image_id, store)
        return task.id

    both, one, _plain, third = copy("a", "b"), copy("a"), copy(plain=("d",)), copy("c", plain=("e",))
    import_id, *_ = (kept.id for kept in accepted(catalog, image_id))
    catalog.remove_ended()
    assert [kept.id for kept in accepted(catalog, image_id)] == [import_id, both, one, third]
    again = copy("b")
    catalog.remove_ended()
    assert [kept.id for kept in accepted(catalog, image_id)] == [import_id, one, third, again]


@pytest.mark.parametrize("database", ON_SERVERS, indirect=True)
def test_a_task_whose_image_is_just_being_deleted_is_passed_over(catalog: Catalog) -> None:
    task, other = imported(catalog), imported(catalog)
    removed = []
    with catalog._database.write() as connection:
        step(connection, task.image_id, DELETE, {})
        thread = threading.Thread(target=lambda: removed.append(catalog.remove_ended()))
        thread.start()
        thread.join()
    assert removed == [1]
    assert accepted(catalog, other.image_id)
    assert catalog.remove_ended(datetime(2999, 1, 1, tzinfo=UTC)) == 1
    assert accepted(catalog, task.image_id) == []
