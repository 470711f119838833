"""Imports that wait for a worker from the beginning, and copies to further stores."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from . import begin, rows, states, usage, values
from .begin import NO_LEASE, NewTask
from .database import Database
from .needs import COPY
from .query import UploadQuotas
from .records import CopyFacts, Image, ImportRequest, Task
from .schema import stores as store_rows


class QueuedImports:
    """The operations on imports that begin in a queue; a part of :class:`~douane.catalog.Catalog`."""

    _database: Database

    def begin_queued(
        self,
        image_id: str,
        *,
        method: str,
        plan: Any,
        request: ImportRequest,
        source: Any = None,
        on_failure: str = "requeue",
        worker: str | None = None,
        total: int | None = None,
        plan_digest: str | None = None,
        quotas: UploadQuotas | None = None,
    ) -> Task:
        """Begin an import that waits for a worker, or that `worker` runs at once.

        With the method ``copy-image`` the image must be active, and stays so; with every other it must be queued, and
        becomes "importing". `source` is what a worker begins with, such as ``{"url": …}``. Raises NotFound, Conflict,
        BadValue, OverQuota.
        """
        new = NewTask(
            method=method,
            plan=plan,
            plan_digest=plan_digest,
            request=request,
            on_failure=on_failure,
            source=source,
            step="waiting" if worker is None else "receiving",
            worker=worker,
            total=total,
        )
        with self._database.write() as connection:
            what = states.BEGIN_COPY if method == COPY else states.BEGIN_IMPORT
            task = begin.begin(connection, image_id, what, new)
            usage.check(connection, task, quotas)
            return task

    def finish_copy(
        self,
        task: Task,
        stores: Sequence[str],
        failed: Sequence[str] = (),
        *,
        code: str | None = None,
        message: str | None = None,
        report: Any = None,
        variants: Mapping[str, CopyFacts] | None = None,
    ) -> Image:
        """End the copying of an image: `stores` hold it, too, from now on; in those of `failed` nothing was published.
        `variants`, by store, are the copies that a transform made.

        The task ends as "accepted" if any store has a copy or none failed, otherwise as "undecided". Raises Conflict
        (``lost-task``): then the published copies must be deleted.
        """
        owner = begin.owner_of(task)
        holding = values.words("the id of a store", stores)
        failure = {
            "code": None if code is None else values.sentence(code, values.NAME_LIMIT),
            "message": None if message is None else values.sentence(message),
        }
        failed_stores = values.json("the failed stores", values.words("the id of a store", failed))
        outcome = "accepted" if holding or not failed else "undecided"
        published = {store: facts for store, facts in (variants or {}).items() if store in holding}
        ended = {"step": "done", "outcome": outcome, **failure, **NO_LEASE}
        ended["variants"] = values.json("the variants", published)
        if report is not None:
            ended["report"] = values.json("the report", report)
        with self._database.write() as connection:
            what = {**failure, "failed_stores": failed_stores}
            states.step(connection, task.image_id, states.END_COPY, what, owner)
            states.own_task(connection, owner, ended, doing="end the copying", at_step="receiving")
            present = set(
                connection.execute(select(store_rows.c.store).where(store_rows.c.image_id == task.image_id)).scalars()
            )
            fresh = [store for store in holding if store not in present]
            rows.add_stores(connection, task.image_id, fresh, published)
            return rows.image(connection, task.image_id)
