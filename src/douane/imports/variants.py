"""Copies that transforms make for some of the stores: "raw for this one, as it came for that one".

The image itself is what the plugins for all stores let through. A store that a transform is bound to gets a variant:
the image's bytes through the plugins that are bound to it. If all stores of an import are bound, the image itself is
what the first of them gets.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import msgspec

from douane.catalog import CopyFacts, Task
from douane.declared import DeclaredImage
from douane.engine import Report
from douane.engine.plan_runner import PlanRunner
from douane.engine.served_plan import ServedPlan
from douane.errors import BadValue, CatalogError, DouaneError, StoreError
from douane.evidence import sign_report
from douane.plan.binding import Sender
from douane.plan.model import Plan
from douane.stream.digest import ALGORITHMS
from douane.stream.source import Source

from .failures import failure_in
from .publishing import StoreOf, needs_all_stores
from .results import Made
from .staged_copies import StagedCopies
from .task_progress import TaskProgress

log = logging.getLogger("douane")


class Group(msgspec.Struct, frozen=True):
    """Stores that get the same bytes."""

    stores: tuple[str, ...]
    is_bound: bool
    """True if plugins are bound to these stores."""


class Rejected(Exception):
    """A signal, not an error: a run that makes a variant for `stores` ends the import. A plugin refused, or failed for
    a store that must not fail. `report` is that of the run, `image` that of the run before it, if there was one."""

    def __init__(self, report: Report, stores: Sequence[str]) -> None:
        super().__init__(report.message)
        self.report = report
        self.stores = stores
        self.image: Report | None = None


def group_stores(plan: Plan, sender: Sender, stores: Sequence[str]) -> list[Group]:
    """The stores by what they get. The first group gets the image itself, the others a variant of it."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for store in stores:
        bound = plan.for_sender(msgspec.structs.replace(sender, store=store)).bound_to(store)
        groups.setdefault(bound, []).append(store)
    ordered = sorted(groups, key=bool)  # those without a binding come first, the others in the order of the request
    return [Group(tuple(groups[bound]), bool(bound)) for bound in ordered]


def bound_stores(plan: Plan, sender: Sender, stores: Sequence[str]) -> list[str]:
    """Those of the stores that get what a transform makes of the image."""
    return [store for group in group_stores(plan, sender, stores) if group.is_bound for store in group.stores]


class VariantRuns:
    """The runs that make the variants of one import."""

    def __init__(
        self,
        task: Task,
        served: ServedPlan,
        runner: PlanRunner,
        store_of: StoreOf,
        sender: Sender,
        progress: TaskProgress,
    ) -> None:
        self._task = task
        self._served = served
        self._runner = runner
        self._store_of = store_of
        self._sender = sender
        self._progress = progress
        self._required = needs_all_stores(task)

    def __call__(self, groups: Sequence[Group], image: CopyFacts, open_image: Callable[[], Source]) -> Made:
        """Run the image with the facts `image` once for each group, and keep what comes out, staged, for its stores.

        Raises Rejected, DouaneError for a store that must not fail, and what the progress raises.
        """
        made = Made()
        declared = self._task.declared or DeclaredImage()
        declared = declared.replace(disk_format=image.disk_format, container_format=image.container_format)
        for group in groups:
            try:
                self._make(made, group, image, declared, open_image)
            except DouaneError as error:
                is_lost = isinstance(error, CatalogError) and not isinstance(error, BadValue)
                if self._required or is_lost:
                    raise
                _fail(made, group, error)
        return made

    def _make(
        self, made: Made, group: Group, image: CopyFacts, declared: DeclaredImage, open_image: Callable[[], Source]
    ) -> None:
        assert self._task.staged_key is not None, "a task that a worker owns has a key"
        with StagedCopies(self._store_of, group.stores, self._task.staged_key, required=self._required) as copies:
            report = self._runner.make_variant(
                self._served,
                msgspec.structs.replace(self._sender, store=group.stores[0]),
                open_image(),
                declared,
                received_digests=_known(image),
                progress=self._progress,
                watch=self._progress.watch,
                targets=list(copies.targets.values()),
            )
            made.reports.update(dict.fromkeys(group.stores, report))
            if report.outcome == "accepted":
                _require_undamaged(image, report)
                sign_report(self._served.plan, report, self._task.image_id, declared.name)
                copies.keep()
                _record(made, copies, image, report)
            elif self._required or report.outcome == "refused":
                raise Rejected(report, group.stores)
            else:
                why = failure_in(report)
                _fail(made, group, DouaneError(why.detail or why.message, code=why.code))


def facts_of(report: Report, declared: DeclaredImage | CopyFacts) -> CopyFacts:
    """The facts of the bytes that came out of a run; those that it did not change are the declared ones."""
    return CopyFacts(
        size=report.stored.size,
        virtual_size=report.virtual_size,
        disk_format=report.disk_format or declared.disk_format,
        container_format=report.container_format or declared.container_format,
        digests=report.stored.digests(),
    )


def _known(image: CopyFacts) -> tuple[str, ...]:
    """The digests by which the image is known again: the strongest that the catalog has."""
    return tuple(sorted(image.digests.keys() & set(ALGORITHMS), key=ALGORITHMS.index)[-1:])


def _require_undamaged(image: CopyFacts, report: Report) -> None:
    """Raise StoreError (``damaged``) if what was read is not the image: it has lain in a store, perhaps for years."""
    digests = report.received.digests()
    if report.received.size == image.size and all(digests[name] == image.digests[name] for name in _known(image)):
        return
    raise StoreError(
        "the image is damaged in its store: its size or its digest is not that which the catalog has", code="damaged"
    )


def _record(made: Made, copies: StagedCopies, image: CopyFacts, report: Report) -> None:
    made.failed.update(copies.failed)
    facts = facts_of(report, image)
    has_formats = (facts.disk_format, facts.container_format) == (image.disk_format, image.container_format)
    if image.digests and has_formats and not report.is_transformed:
        return  # the plugins left it as it is; without digests, nobody knows
    made.variants.update((store, facts) for store in copies.store_ids if store not in copies.failed)


def _fail(made: Made, group: Group, error: DouaneError) -> None:
    log.error("what the stores %s should get cannot be made: %s", ", ".join(group.stores), error)
    made.failed.update(dict.fromkeys(group.stores, error))
