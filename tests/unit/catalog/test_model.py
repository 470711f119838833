"""The catalog against a model: old and new workers, and tenants who edit and delete, at every point of an import."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from douane.catalog import Catalog, Task
from douane.errors import CatalogError
from support.catalog import begin, edit, empty_catalog, make_ready

NAMES = st.sampled_from(["os_distro", "hw_disk_bus", "format.seen"])
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@dataclass
class ModelImage:
    """The expected state of an image."""

    name: str | None
    status: str = "queued"
    disk_format: str | None = None
    size: int | None = None
    mine: dict[str, str] = field(default_factory=dict)
    theirs: dict[str, str] = field(default_factory=dict)
    code: str | None = None
    owner: str | None = None  # the id of the task that owns it
    token: int = 0


@dataclass
class ModelTask:
    """The expected state of a task."""

    image: str
    on_failure: str
    token: int
    step: str = "receiving"
    outcome: str | None = None
    size: int | None = None
    received: int = 0
    lost: bool = False  # the image was deleted while it ran


class CatalogMachine(RuleBasedStateMachine):
    """Every rule predicts the result of an operation and compares it; the invariants compare the whole state."""

    images = Bundle("images")
    workers = Bundle("workers")

    @initialize()
    def open(self) -> None:
        self.directory = tempfile.TemporaryDirectory(prefix="douane-test-")
        self.path = Path(self.directory.name) / "catalog.sqlite"
        self.path.write_bytes(empty_catalog())
        self.catalog = Catalog(self.path)
        self.model: dict[str, ModelImage] = {}
        self.model_tasks: dict[str, ModelTask] = {}
        self.claims: list[Task] = []  # all claims that workers ever had

    def teardown(self) -> None:
        if hasattr(self, "catalog"):
            self.catalog.close()
            self.directory.cleanup()

    def expect(self, expected: str | None, call, *args, **kwargs):
        """Call; it must raise an error with this code (None: no error). The result, or None."""
        try:
            result = call(*args, **kwargs)
        except CatalogError as error:
            assert error.code == expected, f"expected {expected}, got {error.code}: {error}"
            return None
        assert expected is None, f"expected {expected}, got {result}"
        return result

    def is_refused(self, worker: Task) -> None:
        """All operations of a worker that lost its task are refused; the invariants show that nothing changed."""
        failure = {"outcome": "refused", "code": "late", "message": "too late"}
        self.expect("lost-task", self.catalog.progress, worker, 7)
        self.expect("lost-task", self.catalog.note, worker, message="late", report={"late": True})
        self.expect("lost-task", make_ready, self.catalog, worker, 77)
        self.expect("lost-task", self.catalog.activate, worker)
        self.expect("lost-task", self.catalog.fail, worker, **failure)
        self.expect("lost-task", self.catalog.take_over, worker)

    def owns(self, worker: Task) -> bool:
        task = self.model_tasks[worker.id]
        return task.outcome is None and task.token == worker.token

    # -- tenants

    @precondition(lambda self: len(self.model) < 4)
    @rule(target=images, name=st.none() | WORDS, properties=st.dictionaries(NAMES, WORDS, max_size=2))
    def create(self, name: str | None, properties: dict[str, str]) -> str:
        image = self.catalog.create_image(name=name, properties=properties)
        self.model[image.id] = ModelImage(name, mine=dict(properties))
        return image.id

    @rule(image=images, name=WORDS)
    def rename(self, image: str, name: str) -> None:
        model = self.model[image]
        code = "wrong-state" if model.status == "deleted" else None
        if self.expect(code, edit, self.catalog, image, changes={"name": name}):
            model.name = name

    @rule(image=images, format=st.sampled_from(["raw", "qcow2", "vmdk"]))
    def declare_format(self, image: str, format: str) -> None:
        model = self.model[image]
        code = None if model.status == "queued" else "wrong-state"
        if self.expect(code, edit, self.catalog, image, changes={"disk_format": format}):
            model.disk_format = format

    @rule(image=images, name=NAMES, value=WORDS)
    def set_property(self, image: str, name: str, value: str) -> None:
        model = self.model[image]
        code = "wrong-state" if model.status == "deleted" else "reserved" if name in model.theirs else None
        if self.expect(code, edit, self.catalog, image, set_properties={name: value}):
            model.mine[name] = value

    @rule(image=images, name=NAMES)
    def remove_property(self, image: str, name: str) -> None:
        model = self.model[image]
        code = "wrong-state" if model.status == "deleted" else "reserved" if name in model.theirs else None
        if self.expect(code, edit, self.catalog, image, remove_properties=[name]):
            model.mine.pop(name, None)

    @rule(image=images, choice=st.sampled_from(["deactivate", "reactivate", "deactivate", "reactivate", "delete"]))
    def change_state(self, image: str, choice: str) -> None:
        {"delete": self.delete, "deactivate": self.deactivate, "reactivate": self.reactivate}[choice](image)

    def delete(self, image: str) -> None:
        model = self.model[image]
        if self.expect("wrong-state" if model.status == "deleted" else None, self.catalog.delete, image):
            if model.owner:
                task = self.model_tasks[model.owner]
                task.lost = True
                task.outcome, task.step, task.token = "cancelled", "done", task.token + 1
            model.status, model.owner = "deleted", None
            for worker in [worker for worker in self.claims if self.model_tasks[worker.id].image == image]:
                if not self.owns(worker) and self.model_tasks[worker.id].lost:
                    self.is_refused(worker)

    def deactivate(self, image: str) -> None:
        model = self.model[image]
        if self.expect(None if model.status == "active" else "wrong-state", self.catalog.deactivate, image):
            model.status = "deactivated"

    def reactivate(self, image: str) -> None:
        model = self.model[image]
        code = None if model.status == "deactivated" else "wrong-state"
        if self.expect(code, self.catalog.reactivate, image):
            model.status = "active"

    # -- workers

    @rule(target=workers, image=images, on_failure=st.sampled_from(["requeue", "remove"]))
    def begin(self, image: str, on_failure: str):
        model = self.model[image]
        code = None if model.status == "queued" else "wrong-state"
        task = self.expect(code, begin, self.catalog, image, on_failure)
        if task is None:
            return multiple()
        assert task.token > model.token, "a token is greater than any before"
        model.status, model.owner, model.token, model.code = "importing", task.id, task.token, None
        self.model_tasks[task.id] = ModelTask(image, on_failure, task.token)
        self.claims.append(task)
        return task

    @rule(worker=workers, received=st.integers(0, 2**63 - 1))
    def progress(self, worker: Task, received: int) -> None:
        owns = self.owns(worker)
        self.expect(None if owns else "lost-task", self.catalog.progress, worker, received)
        self.expect(None if owns else "lost-task", self.catalog.note, worker, message="on the way")
        if owns:
            self.model_tasks[worker.id].received = received

    @rule(
        target=workers,
        image=images,
        size=st.integers(0, 99),
        then=st.sampled_from(["ready", "take over", "take over twice", "active"]),
    )
    def import_steps(self, image: str, size: int, then: str):
        """Most steps of an import at once, so that the later states are reached often."""
        worker = self.begin(image, "requeue")
        if not isinstance(worker, Task):
            return multiple()
        self.ready(worker, size)
        for _ in range({"take over": 1, "take over twice": 2}.get(then, 0)):
            worker = self.take_over(worker)
        if then != "ready":
            self.activate(worker)
        return worker

    @rule(worker=workers, size=st.integers(0, 99))
    def ready(self, worker: Task, size: int) -> None:
        task = self.model_tasks[worker.id]
        code = "lost-task" if not self.owns(worker) else "wrong-state" if task.step == "publishing" else None
        if self.expect(code, make_ready, self.catalog, worker, size):
            task.step, task.size = "publishing", size

    @rule(worker=workers)
    def activate(self, worker: Task) -> None:
        task = self.model_tasks[worker.id]
        again = task.outcome == "accepted" and task.token == worker.token
        code = None if again else "lost-task" if not self.owns(worker) else None
        if code is None and not again and task.step == "receiving":
            code = "wrong-state"
        image = self.expect(code, self.catalog.activate, worker)
        if image and not again:
            model = self.model[task.image]
            model.status, model.owner, model.size, model.disk_format = "active", None, task.size, "qcow2"
            model.theirs = {"format.seen": "qcow2"}
            task.step, task.outcome = "done", "accepted"

    @rule(worker=workers, outcome=st.sampled_from(["refused", "undecided", "cancelled"]))
    def fail(self, worker: Task, outcome: str) -> None:
        task = self.model_tasks[worker.id]
        again = task.outcome not in (None, "accepted") and task.token == worker.token
        code = None if again or self.owns(worker) else "lost-task"
        failure = {"outcome": outcome, "code": "no-good", "message": "it is no good", "failed_stores": ["file"]}
        image = self.expect(code, self.catalog.fail, worker, **failure)
        if image and not again:
            model = self.model[task.image]
            model.status = "queued" if task.on_failure == "requeue" else "deleted"
            model.owner, model.code = None, "no-good"
            task.step, task.outcome = "done", outcome
            assert (image.code, image.message, image.failed_stores) == ("no-good", "it is no good", ["file"])

    @rule(target=workers, worker=workers)
    def take_over(self, worker: Task):
        owns = self.owns(worker)
        task = self.expect(None if owns else "lost-task", self.catalog.take_over, worker)
        if task is None:
            return multiple()
        assert task.token > worker.token
        model = self.model_tasks[worker.id]
        model.token = self.model[model.image].token = task.token
        self.is_refused(worker)
        self.claims.append(task)
        return task

    @rule(target=workers, worker=consumes(workers))
    def reread(self, worker: Task):
        """A worker that reads its task again has the current token of the task."""
        return self.catalog.task(worker.id)

    @rule()
    def restart(self) -> None:
        self.catalog.close()
        self.catalog = Catalog(self.path)

    # -- at all times

    @invariant()
    def images_are_as_expected(self) -> None:
        images = {image.id: image for image in self.catalog.images(include_deleted=True)}
        assert list(images) == list(self.model), "all of them, oldest first"
        for image_id, model in self.model.items():
            image = images[image_id]
            assert image.status == model.status
            assert image.name == model.name
            assert image.disk_format == model.disk_format
            assert image.size == model.size
            assert image.code == model.code
            assert image.task_id == model.owner
            assert image.properties == {**model.mine, **model.theirs}
            assert image.sources == dict.fromkeys(model.theirs, "format")
        live = [image_id for image_id, model in self.model.items() if model.status != "deleted"]
        assert [image.id for image in self.catalog.images()] == live

    @invariant()
    def tasks_are_as_expected(self) -> None:
        for task_id, model in self.model_tasks.items():
            task = self.catalog.task(task_id)
            assert (task.step, task.outcome, task.token) == (model.step, model.outcome, model.token)
            assert (task.size, task.done) == (model.size, model.received)
        unfinished = {task_id for task_id, model in self.model_tasks.items() if model.outcome is None}
        assert {task.id for task in self.catalog.unfinished()} == unfinished
        assert unfinished == {model.owner for model in self.model.values() if model.status == "importing"}


CatalogMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=50, deadline=None)
TestCatalog = CatalogMachine.TestCase
TestCatalog.pytestmark = [pytest.mark.timeout(600)]  # 20 s, or minutes beside a busy machine's other work
