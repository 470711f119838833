"""One attempt of a task by a worker: its bytes through the plan into the stores, or as they are into further stores."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from douane.catalog import Catalog, Task
from douane.engine import Report
from douane.engine.plan_runner import PlanRunner
from douane.engine.served_plan import ServedPlan
from douane.errors import BadValue, CatalogError, Conflict, DouaneError, NotFound
from douane.evidence import sign_report
from douane.report import Outcome
from douane.stores import Store
from douane.stream.source import Source

from . import tracing
from .copies import copy_bytes, copy_image
from .failures import Failure, failure_in, failure_of
from .inline_messages import Done
from .locations import location_of, with_digest, wrong_digest
from .publishing import CLAIMED, finish_import, needs_all_of, needs_all_stores
from .results import recorded_facts, recorded_results, rejected_document, report_document, results_of, staged_results
from .service_stores import Stores
from .settings import ServeSettings
from .staged_copies import StagedCopies
from .task_facts import key_of, sender_of, warn_of_another_plan
from .task_progress import TaskProgress
from .task_sources import (
    NAME,
    declared_of,
    discard_attempt,
    discard_task_source,
    open_staged,
    open_task_source,
    staged_copies_of,
    staging_stores,
)
from .variants import Group, Rejected, VariantRuns, facts_of, group_stores
from .worker_side import SentUpload

log = logging.getLogger("douane")

COPY_IMAGE = "copy-image"
RETRY_SECONDS = 30.0
"""When a catalog that is away has probably come back, and another worker has looked at the task."""


class Stopped(Exception):
    """A signal, not an error: the worker has to end, and gives its task back."""


class Runs:
    """The attempts of one worker, one after the other, in one thread."""

    def __init__(
        self,
        catalog: Catalog,
        stores: Stores,
        settings: ServeSettings,
        runner: PlanRunner,
        current_plan: Callable[[], ServedPlan],
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """`check` is called at times during an attempt, and raises Stopped if the worker has to end."""
        self._catalog = catalog
        self._stores = stores
        self._settings = settings
        self._runner = runner
        self._current_plan = current_plan
        self._check = check

    def run(self, task: Task, sent: SentUpload | None = None) -> Done:
        """The attempt of `task`, which this worker owns; `sent` is the image that comes through a pipe.

        Its end is in the catalog then; or the catalog is away, and another worker finds the task when its lease ends.
        """
        try:
            return self._attempt(task, sent)
        except Stopped:
            return self._give_back(task)
        except Rejected as signal:
            report = rejected_document(signal.report, signal.stores, signal.image, self._runner.log_lines)
            return self._fail(task, signal.report.outcome, failure_in(signal.report), signal.report, report)
        except (Conflict, NotFound) as error:
            return self._lost(task, error)
        except DouaneError as error:
            if error.code == CLAIMED or (isinstance(error, CatalogError) and not isinstance(error, BadValue)):
                return _unrecorded(task, error)
            return self._fail(task, "undecided", failure_of(error))
        except Exception as error:  # a fault of ours, or of the system: the image is not let in, and the worker goes on
            log.exception("import task %s failed", task.id)
            return self._fail(task, "undecided", failure_of(DouaneError(f"the import failed: {error}")))

    def _attempt(self, task: Task, sent: SentUpload | None) -> Done:
        watch = None if sent is None else sent.watch
        progress = TaskProgress(self._catalog, task, display=watch, check=self._check)
        served = self._current_plan()
        if task.method == COPY_IMAGE:
            self._runner.new_log()
            groups = functools.partial(group_stores, served.plan, sender_of(task))
            return copy_image(self._catalog, self.store_of, task, progress, groups, self._variants(task, served))
        if task.verdict == "accepted" and sent is None and not self._groups(task, served)[0].is_bound:
            return self._store_again(task, served, progress)
        return self._judge(task, served, sent, progress)

    def store_of(self, store_id: str) -> Store:
        """The store with this id. Raises BadValue."""
        return self._stores.by_id(store_id).store

    @property
    def _default_store(self) -> str:
        return self._stores.default.id

    # bytes that go through the plan

    def _judge(self, task: Task, served: ServedPlan, sent: SentUpload | None, progress: TaskProgress) -> Done:
        location = location_of(task)
        warn_of_another_plan(task, served.facts.digest)
        served = with_digest(served, location)
        own, *others = self._groups(task, served)
        sender = msgspec.structs.replace(sender_of(task), store=own.stores[0] if own.is_bound else None)
        with StagedCopies(
            self.store_of,
            own.stores,
            key_of(task),
            required=needs_all_of(task, own.stores),
            present=None if served.facts.transforms or own.is_bound else staged_copies_of(task, self._default_store),
        ) as copies:
            source: Source
            if sent is not None:
                source = sent.source()
            else:
                source = open_task_source(task, self.store_of, self._default_store, self._settings, progress.check)
            began_ns = tracing.now_ns()
            report = self._runner.inspect(
                served,
                source,
                declared_of(task),
                sender=sender,
                progress=progress,
                watch=progress.watch,
                targets=list(copies.targets.values()),
            )
            tracing.record_plugins(report, began_ns)
            mismatch = wrong_digest(location, report, NAME) if report.outcome == "accepted" else None
            if mismatch is not None:
                done = self._fail(task, "undecided", failure_of(mismatch), report)
            elif report.outcome == "accepted":
                copies.keep()
                done = self._accept(task, report, served, copies, others)
            else:
                done = self._refuse(task, report, served)
        discard_task_source(task, self._stores)
        return done

    def _store_ids(self, task: Task) -> list[str]:
        if task.requested:
            return list(task.stores)
        return staging_stores(task, self._stores)

    def _groups(self, task: Task, served: ServedPlan) -> list[Group]:
        """The stores by what they get. Until the import is requested, nobody knows them: the bytes stay as they are."""
        stores = self._store_ids(task)
        if not task.requested:
            return [Group(tuple(stores), False)]
        return group_stores(served.plan, sender_of(task), stores)

    def _variants(self, task: Task, served: ServedPlan) -> VariantRuns:
        progress = TaskProgress(self._catalog, task, check=self._check)
        return VariantRuns(task, served, self._runner, self.store_of, sender_of(task), progress)

    def _accept(
        self, task: Task, report: Report, served: ServedPlan, copies: StagedCopies, others: Sequence[Group]
    ) -> Done:
        declared = declared_of(task)
        sign_report(served.plan, report, task.image_id, declared.name)
        if task.requested:
            holding = copies.store_ids[0]
            facts = facts_of(report, declared)
            open_kept = functools.partial(open_staged, self.store_of, {holding: key_of(task)})
            try:
                made = self._variants(task, served)(others, facts, open_kept)
            except Rejected as signal:
                signal.image = report
                raise
            results = results_of(report, self._runner.log_lines, made)
            ready = self._catalog.ready_to_publish(task, plan_digest=served.facts.digest, **results)
            image = finish_import(self._catalog, self.store_of, ready, failed={**copies.failed, **made.failed})
            return Done("accepted", image_status=image.status)
        for failed, error in copies.failed.items():
            log.error("import task %s: its bytes are not staged in the store %s: %s", task.id, failed, error)
        store_id, *further = copies.store_ids
        self._catalog.record_staged(
            task,
            outcome="accepted",
            store=store_id,
            further_stores=further,
            plan_digest=served.facts.digest,
            **staged_results(report, self._runner.log_lines),
        )
        return Done("accepted", image_status="uploading")

    def _refuse(self, task: Task, report: Report, served: ServedPlan) -> Done:
        why = failure_in(report)
        if task.requested or report.outcome != "refused" or self._settings.refuse_at_stage:
            return self._fail(task, report.outcome, why, report)
        results = staged_results(report, self._runner.log_lines)
        results["digests"] = {}
        self._catalog.record_staged(
            task, outcome="refused", code=why.code, message=why.message, plan_digest=served.facts.digest, **results
        )
        return Done("refused", why.code, why.message, report.retry_after, image_status="uploading")

    # bytes whose verdict holds

    def _store_again(self, task: Task, served: ServedPlan, progress: TaskProgress) -> Done:
        """Staged bytes into the stores in which they do not lie yet."""
        present = staged_copies_of(task, self._default_store)
        self._runner.new_log()
        own, *others = self._groups(task, served)
        open_source = functools.partial(open_staged, self.store_of, present)
        with StagedCopies(
            self.store_of,
            own.stores,
            key_of(task),
            required=needs_all_stores(task),
            present=present,
        ) as copies:
            if copies.targets:
                copy_bytes(open_source(), list(copies.targets.values()), task.size or 0, task.digests, progress)
            copies.keep()
            made = self._variants(task, served)(others, recorded_facts(task), open_source)
            # Under this attempt's key only: a store without its variant must not get the staged bytes instead.
            ready = self._catalog.ready_to_publish(task, **recorded_results(task, made))
            image = finish_import(self._catalog, self.store_of, ready, failed={**copies.failed, **made.failed})
        discard_task_source(task, self._stores)
        return Done("accepted", image_status=image.status)

    # ends

    def _fail(
        self, task: Task, outcome: Outcome, why: Failure, report: Report | None = None, document: Any = None
    ) -> Done:
        """`document` is kept, by default that of `report`."""
        ended = "undecided" if outcome == "accepted" else outcome
        if document is None:
            document = why.document() if report is None else report_document(report, self._runner.log_lines)
        try:
            image = self._catalog.fail(
                task,
                outcome=ended,
                code=why.code,
                message=why.message,
                report=document,
                failed_stores=task.stores if task.requested else (),
            )
        except (Conflict, NotFound) as error:
            return self._lost(task, error)
        except CatalogError as error:
            return _unrecorded(task, error)
        discard_attempt(task, self._stores)
        discard_task_source(task, self._stores)
        retry_after = None if report is None else report.retry_after
        return Done(ended, why.code, why.message, retry_after, image.status, why.detail)

    def _lost(self, task: Task, error: DouaneError) -> Done:
        """The task has ended, or is another worker's. What was staged and kept goes with the next sweep, unless the
        other worker publishes it."""
        log.info("import task %s is not this worker's any more: %s", task.id, error)
        try:
            current = self._catalog.task(task.id)
            image = self._catalog.image(task.image_id)
        except CatalogError:
            return Done("cancelled", "lost-task", str(error))
        message = current.message or str(error)
        return Done("cancelled", current.code or "lost-task", message, image_status=image.status)

    def _give_back(self, task: Task) -> Done:
        """The worker ends: another begins again, if the bytes are still there for it."""
        message = "the import was interrupted: the service is being stopped; import the image again"
        if task.source is None and task.method != COPY_IMAGE:
            return self._fail(task, "undecided", Failure(code="interrupted", message=message))
        try:
            self._catalog.release(task, undo_attempt=True)
        except CatalogError as error:
            return self._lost(task, error)
        discard_attempt(task, self._stores)  # the next attempt has another key
        return Done("undecided", "interrupted", message)


def _unrecorded(task: Task, error: DouaneError) -> Done:
    """The catalog is away, or the bytes are claimed: the lease ends, and another worker completes the import, or begins
    again, or ends it."""
    log.error("the state of import task %s cannot be recorded: %s", task.id, error)
    why = failure_of(error)
    return Done("undecided", why.code, why.message, RETRY_SECONDS, detail=why.detail)
