"""Where the embedded store and catalog live, and setting right what a crash left behind."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from douane.catalog import Catalog, Task
from douane.engine import PlanError
from douane.errors import CatalogError, Conflict, NotFound, StoreError
from douane.stores import FileStore

INTERRUPTED = "interrupted"
BYTES_ARE_GONE = ("not-found", "damaged")
"""What the store says where trying again cannot help."""


def default_home() -> Path:
    """``DOUANE_HOME``, or ``douane`` in the XDG data directory (XDG Base Directory Specification 0.8)."""
    named = os.environ.get("DOUANE_HOME")
    if named:
        return Path(named)
    data = os.environ.get("XDG_DATA_HOME")
    base = Path(data) if data and os.path.isabs(data) else Path.home() / ".local" / "share"
    return base / "douane"


class Home:
    """A directory with a catalog (``catalog.sqlite3``) and a store (``store/``), made on first use, mode 0700."""

    def __init__(self, path: Path) -> None:
        """Open it. Raises PlanError if that cannot be done, with what to do."""
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise PlanError(
                f"the home directory {path} cannot be made: {error.strerror}; choose another with --home or DOUANE_HOME"
            ) from error
        try:
            self.catalog = Catalog(path / "catalog.sqlite3")
        except CatalogError as error:
            raise PlanError(f"the catalog in {path} cannot be opened: {error}") from error
        self.store = FileStore(path / "store")

    def recover(self) -> list[Task]:
        """Finish or undo what dead workers left; the tasks that were ended. Harmless beside live ones.

        A task whose worker lives holds the lock on its staged bytes. One that had come to "publishing" had its
        verdict, and all its bytes durable: it is finished. Any other is undone.
        """
        ended = []
        for task in self.catalog.unfinished():
            if not self._is_dead(task):
                continue
            with contextlib.suppress(Conflict, NotFound):  # somebody else recovers, or the owner came to its end
                if self._settle(self.catalog.take_over(task)):
                    ended.append(task)
        self._sweep()
        return ended

    def _is_dead(self, task: Task) -> bool:
        # Staged bytes are made before their task. Where they are gone, the worker was in the step from "published"
        # to "active", or from "discarded" to its end: to take that step in its place is harmless if it still lives.
        return self.store.abandoned(task.id) or task.id not in set(self.store.staged_keys())

    def _settle(self, task: Task) -> bool:
        """False if that has to wait for a better moment: the image was accepted, and its bytes are there."""
        if task.step == "publishing" and task.size is not None:
            try:
                if not self.store.exists(task.image_id):
                    self._publish(task.id, task.size, task.image_id)
                self.catalog.activate(task)
                return True
            except StoreError as error:
                if error.code not in BYTES_ARE_GONE:
                    return False  # a full disk, an error of the device: the next start tries again
        self.store.discard(task.id)
        self.catalog.fail(
            task,
            outcome="undecided",
            code=INTERRUPTED,
            message="the import was interrupted before it was decided; import the image again",
        )
        return True

    def _publish(self, key: str, size: int, image_id: str) -> None:
        staged = self.store.adopt(key, size)
        try:
            self.store.publish(staged, image_id)
        finally:
            staged.close()  # not discarded: what could not be published now is published by the next start

    def _sweep(self) -> None:
        """Bytes that belong to nothing: staged ones without a task, published ones of deleted images."""
        for key in list(self.store.staged_keys()):
            try:
                known = self.catalog.task(key).outcome is None
            except NotFound:
                known = False
            if not known:
                self.store.discard(key)
        for image_id in list(self.store.image_ids()):
            try:
                gone = self.catalog.image(image_id).status == "deleted"
            except NotFound:
                gone = False  # not ours: never delete what nobody can name
            if gone:
                self.store.delete(image_id)

    def close(self) -> None:
        """Close the catalog."""
        self.catalog.close()


@contextmanager
def opened(path: Path) -> Iterator[Home]:
    """The home at `path`, open for the length of a `with`."""
    home = Home(path)
    try:
        yield home
    finally:
        home.close()
