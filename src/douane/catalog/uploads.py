"""Uploads: bytes that arrive before their import is requested, or with it."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import Connection

from douane.errors import BadValue, Conflict

from . import begin, results, rows, states, usage, values
from .begin import NO_LEASE, NewTask
from .database import Database
from .needs import needs_text
from .query import UploadQuotas
from .records import ImportRequest, Task, to_json
from .staged_source import staged_source, stores_of
from .waking import wake_workers

_VERDICTS = ("accepted", "refused", "undecided")


class Uploads:
    """The operations on uploads; a part of :class:`~douane.catalog.Catalog`."""

    _database: Database

    def begin_upload(
        self,
        image_id: str,
        *,
        method: Literal["glance-direct", "upload"],
        plan: Any,
        worker: str,
        total: int | None = None,
        request: ImportRequest,
        quotas: UploadQuotas | None = None,
        plan_digest: str | None = None,
    ) -> Task:
        """Begin to receive the bytes of a queued image, which becomes "uploading" (``glance-direct``: the import is
        requested later) or "importing" (``upload``). The bytes are staged in the stores of `request`.

        `worker` holds the task by a lease, and the bytes are staged under the task's `staged_key`. `plan_digest` is by
        default the digest of `plan`. Raises NotFound, Conflict, BadValue, OverQuota.
        """
        values.one_of("the method of an upload", method, ("glance-direct", "upload"))
        staging = method == "glance-direct"
        new = NewTask(
            method=method,
            plan=plan,
            plan_digest=plan_digest,
            request=request,
            total=total,
            requested=not staging,
            worker=worker,
        )
        with self._database.write() as connection:
            what = states.BEGIN_STAGE if staging else states.BEGIN_IMPORT
            task = begin.begin(connection, image_id, what, new)
            usage.check(connection, task, quotas)
            return task

    def record_staged(
        self,
        task: Task,
        *,
        outcome: Literal["accepted", "refused", "undecided"],
        code: str | None = None,
        message: str | None = None,
        report: Any,
        size: int | None,
        digests: Mapping[str, str],
        store: str | None = None,
        further_stores: Sequence[str] = (),
        disk_format: str | None = None,
        container_format: str | None = None,
        virtual_size: int | None = None,
        properties: Mapping[str, tuple[str | None, str]] | None = None,
        plan_digest: str | None = None,
    ) -> Task:
        """Record the verdict on staged bytes and all results of the run; the task waits for the request to import.

        Accepted bytes lie in `store`, and in `further_stores`, under the task's `staged_key`. `plan_digest` is that of
        the plan which the run used, by default the recorded one. The other arguments are those of `ready_to_publish`.
        Raises Conflict (``lost-task``, ``wrong-state``), BadValue.
        """
        verdict = values.one_of("the verdict", outcome, _VERDICTS)
        accepted = verdict == "accepted"
        if accepted and (store is None or size is None or task.staged_key is None):
            raise BadValue("accepted bytes need a size and the store in which they are staged")
        row = {
            "step": "staged",
            "verdict": verdict,
            "code": None if code is None else values.sentence(code, values.NAME_LIMIT),
            "message": None if message is None else values.sentence(message),
            "source": None if store is None or not accepted else _source(task, [store, *further_stores]),
            "plan_digest": task.plan_digest if plan_digest is None else begin.digest_of("", plan_digest),
            **NO_LEASE,
            **results.result_columns(
                report=report,
                size=values.optional_number("the size", size),
                digests=digests,
                disk_format=disk_format,
                container_format=container_format,
                virtual_size=virtual_size,
                properties=properties,
            ),
        }
        owner = begin.owner_of(task)
        with self._database.write() as connection:
            states.step(connection, task.image_id, states.RECORD_STAGED, {"size": size if accepted else None}, owner)
            return states.changed_task(connection, owner, row, doing="record staged data", at_step="receiving")

    def request_import(
        self,
        image_id: str,
        *,
        request: ImportRequest,
        plan: Any,
        worker: str,
        plan_digest: str | None = None,
        quotas: UploadQuotas | None = None,
        transformed: Collection[str] = (),
    ) -> Task:
        """Request the import of the staged bytes into the stores of `request`; those of `transformed` get what a
        transform makes of them. The task that is returned says what happens next:

        - "publishing": the verdict holds, and the bytes lie in all these stores. `worker` owns the task: it publishes,
          and calls `activate`.
        - "waiting": for a worker, who runs the staged bytes again (`verdict` is None), or copies them ("accepted").
        - "done": they were refused. The image is "queued" again, and the caller discards the bytes.

        Raises NotFound; Conflict, also while the bytes still arrive or are inspected; BadValue; OverQuota.
        """
        text = values.json("the plan", plan)
        digest = begin.digest_of(text, plan_digest)
        with self._database.write() as connection:
            # This holds the row of the image: what is read now cannot change before the step.
            states.step(connection, image_id, states.LOOK_AT_STAGED, {})
            staged = begin.current_task(connection, image_id)
            if staged.step != "staged":
                raise Conflict(
                    f"cannot import image {image_id}: its data is still being received and inspected; wait until the "
                    "stage has ended",
                    actual=staged.step,
                    expected="staged",
                )
            row = {"requested": True, "token": staged.token + 1, **values.import_request(request)}
            if staged.verdict != "accepted":
                _refuse(connection, staged, row)
            else:
                facts = begin.declared(connection, image_id, request.roles)
                unchanged = staged.plan_digest == digest and facts == to_json(staged.declared)
                if not unchanged or set(request.stores) <= set(transformed):  # no store takes the bytes as they are
                    row.update(verdict=None, plan=text, plan_digest=digest, declared=facts)
                ready = unchanged and set() < set(request.stores) <= set(stores_of(staged.source))
                ready = ready and not set(request.stores) & set(transformed)
                if ready:
                    row.update(step="publishing", **begin.lease(worker))
                else:
                    needs = needs_text(stores_of(staged.source), request.stores)
                    row.update(step="waiting", needs=needs)
                    wake_workers(connection)
                _import(connection, staged, row)
            task = rows.task(connection, staged.id)
            usage.check(connection, task, quotas)
            return task


def _source(task: Task, stores: Sequence[str]) -> str:
    return values.json("the source", staged_source(task.staged_key, values.words("the id of a store", stores)))


def _import(connection: Connection, staged: Task, row: dict[str, Any]) -> None:
    owner = begin.owner_of(staged)
    states.step(connection, staged.image_id, states.REQUEST_IMPORT, {"token": row["token"]}, owner)
    states.own_task(connection, owner, row, doing="import the staged data", at_step="staged")


def _refuse(connection: Connection, staged: Task, row: dict[str, Any]) -> None:
    owner = begin.owner_of(staged)
    failure = {
        "token": row["token"],
        "code": staged.code,
        "message": staged.message,
        "failed_stores": row["stores"],
    }
    states.step(connection, staged.image_id, states.REQUEUE, failure, owner)
    ended = {**row, "step": "done", "outcome": staged.verdict}
    states.own_task(connection, owner, ended, doing="import the staged data", at_step="staged")
