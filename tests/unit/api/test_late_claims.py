"""A request that took an open upload and was then held up, while another door went on with it: it changes no byte."""

import asyncio
from pathlib import Path

import pytest

from douane.api.pool import Pool
from douane.api.transfer.appending import claim_bytes
from douane.api.transfer.part import PartPlace
from douane.api.transfer.turns import Superseded
from douane.catalog import Catalog, ImportRequest, Task
from douane.stores.file import FileStore
from support.catalog import PLAN
from support.store import content_of


class Doors:
    """A catalog and a store with an open upload that has 3 bytes."""

    def __init__(self, folder: Path) -> None:
        self.catalog = Catalog(folder / "catalog.sqlite")
        self.store = FileStore(folder / "store")
        image = self.catalog.create_image(name="x", disk_format="raw", container_format="bare", owner="p")
        request = ImportRequest(owner="p", stores=("file",))
        task = self.catalog.begin_upload(image.id, method="glance-direct", plan=PLAN, worker="door-1", request=request)
        self.key = task.staged_key or ""
        staged = self.store.stage(self.key)
        staged.write(memoryview(b"abc"), 0)
        staged.keep(3)
        staged.close()
        self.task_id = self.catalog.open_upload(task, offset=3, length=None, seconds=1000.0).id

    def claim(self, task: Task) -> None:
        """Claim the bytes for a request that took the upload as `task`, and let them go again."""

        async def run() -> None:
            pool = Pool(threads=1)
            place = PartPlace(
                catalog=self.catalog, store=self.store, pool=pool, io=pool, seconds=1000.0, limits={}, quotas=None,
                may_go_on=lambda: None,
            )  # fmt: skip
            try:
                (await claim_bytes(task, place)).close()
            finally:
                pool.close()

        asyncio.run(run())

    def goes_on(self, worker: str, rest: bytes) -> Task:
        """Another door appends `rest`, and records it."""
        task = self.catalog.take_upload(self.task_id, worker)
        staged = self.store.resume(self.key, task.done)
        staged.write(memoryview(rest), task.done)
        staged.keep(task.done + len(rest))
        staged.close()
        return self.catalog.record_offset(task, task.done + len(rest), seconds=1000.0)

    def content(self) -> bytes:
        return content_of(self.store.open_staged(self.key))


@pytest.fixture
def doors(tmp_path: Path) -> Doors:
    return Doors(tmp_path)


def test_bytes_that_another_door_has_appended_stay(doors: Doors) -> None:
    late = doors.catalog.take_upload(doors.task_id, "door-1")
    doors.goes_on("door-2", b"defg")
    with pytest.raises(Superseded):
        doors.claim(late)
    assert doors.content() == b"abcdefg"


def test_bytes_that_are_complete_and_may_have_a_verdict_stay(doors: Doors) -> None:
    late = doors.catalog.take_upload(doors.task_id, "door-1")
    whole = doors.goes_on("door-2", b"defg")
    staged = doors.store.resume(doors.key, 7)
    staged.finish(7)
    staged.close()
    doors.catalog.release(whole, source={"spool": doors.key})
    with pytest.raises(Superseded):
        doors.claim(late)
    assert doors.content() == b"abcdefg"


def test_bytes_that_a_worker_has_taken_meanwhile_are_not_said_to_be_lost(doors: Doors) -> None:
    late = doors.catalog.take_upload(doors.task_id, "door-1")
    doors.goes_on("door-2", b"defg")
    doors.store.discard(doors.key)
    with pytest.raises(Superseded):
        doors.claim(late)
    assert doors.catalog.task(doors.task_id).outcome is None


def test_the_request_that_has_the_upload_gets_its_bytes_cut_to_the_offset(doors: Doors) -> None:
    staged = doors.store.resume(doors.key, 3)
    staged.write(memoryview(b"lost"), 3)
    staged.close()
    doors.claim(doors.catalog.take_upload(doors.task_id, "door-1"))
    assert doors.content() == b"abc"
