"""Two workers, a door and tenants on one catalog, as a machine of hypothesis: steps in every order, late ones included.

Every operation is predicted from the state before it. One that is refused must change nothing at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import select

from douane.catalog import Catalog, Image, ImportRequest, Task
from douane.catalog.query import SetField
from douane.catalog.schema import images as image_rows
from douane.catalog.schema import metadata
from douane.errors import CatalogError

from .catalog import PLAN, make_ready, record_staged

WORKERS = ("door", "a", "b")
OTHER_PLAN = {"plugins": []}
IMAGES = st.runner().flatmap(lambda machine: st.sampled_from(machine.choices()))
HANDLES = st.runner().flatmap(lambda machine: st.sampled_from(machine.claims()))
FAILURE = {"outcome": "undecided", "code": "cut", "message": "the sender gave up"}


class Workers(RuleBasedStateMachine):
    """A subclass opens the catalog."""

    def open_catalog(self) -> Catalog:
        raise NotImplementedError

    @initialize()
    def begin(self) -> None:
        self.catalog = self.open_catalog()
        self.names: dict[str, str] = {}
        self.tokens: dict[str, int] = {}
        self.handles: list[Task] = []  # all that workers ever had
        for _ in range(2):
            self.create()
        self.begin_upload(next(iter(self.names)), "glance-direct")

    def choices(self) -> list[str]:
        """The images, mostly those that exist."""
        return [image_id for image_id in self.names if self.status(image_id) != "deleted"] * 3 + list(self.names)

    def claims(self) -> list[Task]:
        """What workers have in hand: mostly their current tasks, else those that they lost."""
        return [handle for handle in self.handles if self.catalog.is_current(handle)] * 5 + self.handles

    def keep(self, handle: Task | None) -> Task | None:
        """Remember what a worker got."""
        self.handles += [] if handle is None else [handle]
        return handle

    def teardown(self) -> None:
        if hasattr(self, "catalog"):
            self.everything_ends()
            self.catalog.close()

    def rows(self) -> dict[str, set[Any]]:
        """The whole content of the catalog."""
        with self.catalog._database.read() as connection:
            return {
                table.name: {tuple(row) for row in connection.execute(select(table))}
                for table in metadata.sorted_tables
            }

    def expect(self, fits: bool, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call; it must succeed if it `fits` the state, and change nothing otherwise. The result, or None."""
        before = self.rows()
        try:
            result = call(*arguments, **named)
        except CatalogError as error:
            assert not fits, f"it fits, and was refused: {error}"
            assert error.code in ("lost-task", "wrong-state", "bad-value"), error
            assert self.rows() == before, "it was refused, and changed something"
            return None
        assert fits, f"it does not fit, and succeeded: {result}"
        return result

    def owns(self, handle: Task, *steps: str) -> bool:
        task = self.catalog.task(handle.id)
        return task.outcome is None and task.token == handle.token and task.step in steps

    def status(self, image_id: str) -> str:
        return self.catalog.image(image_id).status

    # -- tenants

    @precondition(lambda self: len(self.names) < 4)
    @rule()
    def create(self) -> None:
        image = self.catalog.create_image(name="new", owner="p")
        self.names[image.id] = "new"

    @rule(image=IMAGES, name=st.sampled_from("xyz"))
    def rename(self, image: str, name: str) -> None:
        if self.expect(self.status(image) != "deleted", self.catalog.edit, image, [SetField("name", name)]):
            self.names[image] = name

    @rule(image=IMAGES)
    def declare_a_format(self, image: str) -> None:
        change = [SetField("disk_format", "raw")]
        self.expect(self.status(image) == "queued", self.catalog.edit, image, change)

    @rule(image=IMAGES)
    def deactivate_or_reactivate(self, image: str) -> None:
        status = self.status(image)
        call = self.catalog.reactivate if status == "deactivated" else self.catalog.deactivate
        self.expect(status in ("active", "deactivated"), call, image)

    @rule(image=IMAGES, seldom=st.integers(0, 7))
    def delete(self, image: str, seldom: int) -> None:
        if seldom == 7:  # hypothesis prefers 0
            self.expect(self.status(image) != "deleted", self.catalog.delete, image)

    @rule(image=IMAGES, method=st.sampled_from(["glance-direct", "upload"]))
    def begin_upload(self, image: str, method: str) -> None:
        fits = self.status(image) == "queued"
        begun = {"method": method, "plan": PLAN, "worker": "door", "request": ImportRequest()}
        self.keep(self.expect(fits, self.catalog.begin_upload, image, **begun))

    @rule(image=IMAGES, wrong=st.integers(0, 3))
    def begin_queued(self, image: str, wrong: int) -> None:
        now = self.catalog.image(image)
        method = "copy-image" if (now.status == "active") != (wrong == 3) else "web-download"
        fits = now.status == "queued" if method == "web-download" else now.status == "active" and now.task_id is None
        source = {"url": "http://x"} if method == "web-download" else None
        begun = {"method": method, "plan": PLAN, "request": ImportRequest(stores=("ceph",)), "source": source}
        self.expect(fits, self.catalog.begin_queued, image, **begun)

    @rule(image=IMAGES, plan=st.sampled_from([PLAN, PLAN, OTHER_PLAN]), copies=st.booleans())
    def request_import(self, image: str, plan: Any, copies: bool) -> None:
        now = self.catalog.image(image)
        fits = now.status == "uploading" and self.catalog.task(now.task_id or "").step == "staged"
        stores = ("ceph", "file") if copies else ("file",)
        wanted = {"request": ImportRequest(stores=stores), "plan": plan, "worker": "door"}
        before = None if now.task_id is None else self.catalog.task(now.task_id)
        task = self.keep(self.expect(fits, self.catalog.request_import, image, **wanted))
        if task is None:
            return
        assert before is not None and before.declared is not None
        if before.verdict != "accepted":
            assert (task.step, task.outcome, self.status(image)) == ("done", before.verdict, "queued")
        else:
            holds = plan == PLAN and before.declared.name == self.names[image]
            assert task.verdict == ("accepted" if holds else None)
            assert task.step == ("publishing" if holds and not copies else "waiting")

    @rule(image=IMAGES, by_task=st.booleans())
    def cancel(self, image: str, by_task: bool) -> None:
        now = self.catalog.image(image)
        fits = now.task_id is not None and self.catalog.task(now.task_id).step != "publishing"
        name = now.task_id if by_task and now.task_id else image
        task = self.expect(fits, self.catalog.cancel, name, message="cancelled by a test")
        if task is not None:
            after = "queued" if now.status in ("uploading", "importing") else now.status
            assert (task.outcome, self.status(image)) == ("cancelled", after)

    # -- workers

    @rule(worker=st.sampled_from(WORKERS))
    def claim(self, worker: str) -> None:
        waiting = [task for task in self.unfinished() if task.step == "waiting"]
        task = self.keep(self.catalog.claim(worker))
        assert (task and task.id) == (waiting[0].id if waiting else None), "the oldest"
        assert task is None or task.token > waiting[0].token

    @precondition(lambda self: self.handles)
    @rule(handle=HANDLES, worker=st.sampled_from(WORKERS))
    def take(self, handle: Task, worker: str) -> None:
        fits = self.owns(handle, "receiving")
        self.keep(self.expect(fits, self.catalog.take, handle.id, handle.token, worker))

    @precondition(lambda self: self.handles)
    @rule(handle=HANDLES, spool=st.booleans())
    def release(self, handle: Task, spool: bool) -> None:
        source = {"spool": handle.staged_key} if spool else None
        now = self.catalog.task(handle.id)
        fits = self.owns(handle, "receiving") and (spool or now.source is not None or now.method == "copy-image")
        self.expect(fits, self.catalog.release, handle, source=source)

    @precondition(lambda self: self.handles)
    @rule(handle=HANDLES, verdict=st.sampled_from(["accepted", "accepted", "refused", "undecided"]))
    def record_staged(self, handle: Task, verdict: str) -> None:
        fits = self.owns(handle, "receiving") and self.status(handle.image_id) == "uploading"
        refused = {} if verdict == "accepted" else {"size": None, "store": None}
        self.expect(fits, record_staged, self.catalog, handle, outcome=verdict, **refused)

    @precondition(lambda self: self.handles)
    @rule(handle=HANDLES, then=st.booleans())
    def make_ready(self, handle: Task, then: bool) -> None:
        importing = self.status(handle.image_id) == "importing"
        if importing or not self.owns(handle, "receiving"):  # no worker publishes what nobody asked to import
            ready = self.keep(self.expect(self.owns(handle, "receiving"), make_ready, self.catalog, handle))
            if ready is not None and then:
                self.activate(ready)

    @precondition(lambda self: self.handles)
    @rule(handle=HANDLES)
    def activate(self, handle: Task) -> None:
        now = self.catalog.task(handle.id)
        again = now.outcome == "accepted" and now.token == handle.token
        fits = again or self.owns(handle, "publishing")
        image = self.expect(fits, self.catalog.activate, handle, ["file"])
        if image is not None and not again:
            assert (image.status, image.stores, image.size) == ("active", ["file"], 5)

    @precondition(lambda self: self.handles)
    @rule(handle=HANDLES)
    def fail(self, handle: Task) -> None:
        now = self.catalog.task(handle.id)
        again = now.outcome in ("refused", "undecided", "cancelled") and now.token == handle.token
        fits = again or self.owns(handle, "waiting", "receiving", "staged", "publishing")
        before = self.catalog.image(handle.image_id)
        image = self.expect(fits, self.catalog.fail, handle, **FAILURE)
        if image is not None and not again:
            assert image.status == ("queued" if before.status in ("uploading", "importing") else before.status)

    @precondition(lambda self: self.handles)
    @rule(handle=HANDLES, failed=st.booleans())
    def finish_copy(self, handle: Task, failed: bool) -> None:
        if handle.method == "copy-image":
            fits = self.owns(handle, "receiving")
            stores: list[str] = [] if failed else ["ceph"]
            image = self.expect(fits, self.catalog.finish_copy, handle, stores, ["ceph"] if failed else [])
            assert image is None or failed or "ceph" in image.stores

    @precondition(lambda self: self.handles)
    @rule(handle=HANDLES)
    def report_progress(self, handle: Task) -> None:
        unfinished = self.owns(handle, "waiting", "receiving", "staged", "publishing")
        assert self.catalog.is_current(handle) == unfinished
        before = self.rows()
        try:
            self.catalog.progress(handle, 3)
        except CatalogError:
            assert not unfinished
            assert self.rows() == before
        else:
            assert unfinished

    @rule(worker=st.sampled_from(WORKERS), dies=st.booleans())
    def beat_or_die(self, worker: str, dies: bool) -> None:
        held = {task.id for task in self.unfinished() if task.worker == worker}
        count = self.catalog.release_worker(worker) if dies else self.catalog.hold(worker, held)
        assert count == len(held)
        dead = {task.id for task in self.catalog.dead_tasks()}
        assert held <= dead if dies else not held & dead

    @precondition(lambda self: self.handles)
    @rule(worker=st.sampled_from(WORKERS), handle=HANDLES)
    def take_over(self, worker: str, handle: Task) -> None:
        dead = any(task.id == handle.id and task.token == handle.token for task in self.catalog.dead_tasks())
        if not self.owns(handle, "waiting", "staged"):  # those have no worker who could be dead
            self.keep(self.expect(dead, self.catalog.take_over, handle, worker))

    @rule(worker=st.sampled_from(WORKERS))
    def sweep(self, worker: str) -> None:
        for dead in self.catalog.dead_tasks():
            settle(self.catalog, dead, worker)
        assert self.catalog.dead_tasks() == []

    @rule(image=IMAGES, steps=st.integers(1, 7), method=st.sampled_from(["glance-direct", "upload"]))
    def go_on(self, image: str, steps: int, method: str) -> None:
        """The usual next steps of an image, so that the later states are reached often."""
        for _ in range(steps):
            now = self.catalog.image(image)
            task = None if now.task_id is None else self.catalog.task(now.task_id)
            if now.status == "queued":
                self.begin_upload(image, method)
            elif task is None:
                self.begin_queued(image, 1)
            elif task.step == "waiting":
                self.claim("b")
            elif task.step == "staged":
                self.request_import(image, PLAN, copies=False)
            else:
                self.handles.append(task)
                if task.step == "publishing":
                    self.activate(task)
                elif task.method == "copy-image":
                    self.finish_copy(task, failed=False)
                elif now.status == "uploading":
                    self.record_staged(task, "accepted")
                else:
                    self.make_ready(task, then=False)

    # -- at all times

    def unfinished(self) -> list[Task]:
        return [
            self.catalog.task(task.id)
            for task in self.catalog.all_tasks(limit=None, descending=False, requested_only=False)
            if task.outcome is None
        ]

    def all_images(self) -> list[Image]:
        return self.catalog.images(include_deleted=True)

    @invariant()
    def every_image_has_what_its_state_says(self) -> None:
        if not hasattr(self, "catalog"):
            return
        unfinished = {task.id: task for task in self.unfinished()}
        assert len({task.image_id for task in unfinished.values()}) == len(unfinished), "one task an image"
        with self.catalog._database.read() as connection:
            tokens = {row.id: row.token for row in connection.execute(select(image_rows.c.id, image_rows.c.token))}
        for image in self.all_images():
            assert image.name == self.names[image.id], "an edit was lost"
            assert tokens[image.id] >= self.tokens.get(image.id, 0)
            self.tokens[image.id] = tokens[image.id]
            if image.task_id is not None:
                assert unfinished.pop(image.task_id).token == tokens[image.id]
            assert image.task_id is not None or image.status not in ("uploading", "importing")
            if image.status in ("active", "deactivated"):
                assert image.stores
                assert image.size == 5
            if image.status == "queued":
                assert (image.size, image.task_id, image.stores) == (None, None, [])
        assert not unfinished, "a task without an image"

    @invariant()
    def a_task_has_a_worker_while_it_is_run(self) -> None:
        if hasattr(self, "catalog"):
            for task in self.unfinished():
                assert (task.worker is not None) == (task.step in ("receiving", "publishing"))
            assert self.catalog.unfinished() == [], "the command line's"

    def everything_ends(self) -> None:
        """All processes die; new workers settle, run and expire what is there: no image needs to be deleted."""
        for worker in WORKERS:
            self.catalog.release_worker(worker)
        for dead in self.catalog.dead_tasks():
            settle(self.catalog, dead, "new")
        while (task := self.catalog.claim("new")) is not None:
            run(self.catalog, task)
        for task in self.unfinished():
            assert task.step == "staged"
            self.catalog.fail(task, outcome="cancelled", code="expired", message="nobody imported it")
        assert self.unfinished() == []
        assert {image.status for image in self.all_images()} <= {"queued", "active", "deactivated", "deleted"}
        self.every_image_has_what_its_state_says()


def settle(catalog: Catalog, dead: Task, worker: str) -> None:
    """What a worker does with the task of a dead worker."""
    task = catalog.take_over(dead, worker)
    if task.step == "publishing":
        catalog.activate(task, ["file"])
    elif task.attempts < 3 and (task.source is not None or task.method == "copy-image"):
        catalog.release(task)
    else:
        catalog.fail(task, outcome="undecided", code="interrupted", message="the worker died")


def run(catalog: Catalog, task: Task) -> None:
    """What a worker does with a task that it claimed."""
    if task.method == "copy-image":
        catalog.finish_copy(task, task.stores)
    elif catalog.image(task.image_id).status == "uploading":
        record_staged(catalog, task)
    else:
        catalog.activate(make_ready(catalog, task), ["file"])
