"""Bytes that were judged before, copied as they are into further stores: read once, and compared by their digests."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence

from douane.catalog import Catalog, CopyFacts, Image, Task
from douane.declared import DeclaredImage
from douane.engine import Plan, RunOptions, Target, inspect_image
from douane.errors import Conflict, DouaneError, StoreError
from douane.host.options import Progress
from douane.sandbox import Tier
from douane.stream.digest import ALGORITHMS
from douane.stream.source import Source
from douane.stream.stored_source import source_of

from .failures import failure_of
from .inline_messages import Done
from .publishing import StoreOf, needs_all_stores, opened_image, publish_staged
from .results import Made, with_reports
from .staged_copies import StagedCopies
from .variants import Group

log = logging.getLogger("douane")


def copy_bytes(
    source: Source, targets: Sequence[Target], size: int, digests: Mapping[str, str], progress: Progress
) -> None:
    """Write the bytes of `source`, which is closed, to `targets`. Raises StoreError (``damaged``) if they are not those
    of `size` and `digests`, and for other failures; then no target may be used."""
    known = {name: value for name, value in digests.items() if name in ALGORITHMS}
    plan = Plan(plugins=(), digests=tuple(known), received_digests=())
    # No plugin, so that no process is started: the engine copies and digests.
    options = RunOptions(tier=Tier.STRICT, progress=progress)
    report = inspect_image(plan, DeclaredImage(), source, None, options, targets=targets)
    if report.outcome != "accepted":
        code = report.code if report.code in StoreError.codes else None
        raise StoreError(report.message or "the image could not be copied", code=code)
    if report.stored.size != size or report.stored.digests() != known:
        raise StoreError(
            f"{source.name} is damaged in its store: its size or its digests are not those that the catalog has",
            code="damaged",
        )


def copy_image(
    catalog: Catalog,
    store_of: StoreOf,
    task: Task,
    progress: Progress,
    group_of: Callable[[Sequence[str]], list[Group]],
    make: Callable[[Sequence[Group], CopyFacts, Callable[[], Source]], Made],
) -> Done:
    """The method ``copy-image``: from a store that has the image into those stores of `task` that do not.

    `group_of` groups the stores by what they get, and `make` makes the variants. Raises Conflict (``lost-task``) if the
    task is not this worker's any more, Rejected, DouaneError for other failures.
    """
    image = catalog.image(task.image_id)
    missing = [store_id for store_id in task.stores if store_id not in image.stores]
    groups = group_of(missing)
    plain = [store_id for group in groups if not group.is_bound for store_id in group.stores]
    required = needs_all_stores(task)
    assert task.staged_key is not None, "a claimed task has a key"
    with StagedCopies(store_of, plain, task.staged_key, required=required, spare=plain != missing) as copies:
        if copies.targets:
            source = _open_copy(store_of, image)
            copy_bytes(source, list(copies.targets.values()), image.size or 0, image.digests, progress)
        copies.keep()
        bound = [group for group in groups if group.is_bound]
        made = make(bound, image.facts, lambda: _open_copy(store_of, image))
        return _publish_copies(catalog, store_of, task, image, missing, {**copies.failed, **made.failed}, made)


def _open_copy(store_of: StoreOf, image: Image) -> Source:
    error: DouaneError = StoreError(f"no store holds the image {image.id}", code="not-found")
    for store_id in image.own_stores:
        try:
            return source_of(store_of(store_id).open(image.id), f"the image in {store_id!r}")
        except DouaneError as failure:
            error = failure
    raise error


def _publish_copies(
    catalog: Catalog,
    store_of: StoreOf,
    task: Task,
    image: Image,
    missing: Sequence[str],
    failed: Mapping[str, DouaneError],
    made: Made,
) -> Done:
    failures = dict(failed)
    with contextlib.ExitStack() as opened:
        published = {}
        for store_id in missing:
            if store_id in failures:
                continue
            facts = made.variants.get(store_id, image.facts)
            try:
                store = store_of(store_id)
                publish_staged(store, [task.staged_key or ""], task, catalog, facts.size)
                published[store_id] = (store, opened.enter_context(opened_image(store, image.id)))
            except StoreError as error:
                log.error("import task %s: the store %s failed: %s", task.id, store_id, error)
                failures[store_id] = error
        holding = [] if failures and needs_all_stores(task) else list(published)
        try:
            done = _end(catalog, task, holding, failures, made)
        except Conflict:
            holding = []
            raise
        finally:
            for store_id, (store, copy) in published.items():
                if store_id not in holding:
                    store.delete(image.id, only=copy)
    return done


def _end(catalog: Catalog, task: Task, holding: Sequence[str], failures: Mapping[str, DouaneError], made: Made) -> Done:
    store_id, error = next(iter(failures.items()), (None, None))
    why = None if error is None else failure_of(error, store_id)
    code, message, detail = (None, None, None) if why is None else (why.code, why.message, why.detail)
    report = None if why is None else why.document()
    if made.reports:
        report = with_reports(report or {"outcome": "accepted", "verdicts": []}, made.reports)
    image = catalog.finish_copy(
        task, holding, sorted(failures), code=code, message=message, report=report, variants=made.variants
    )
    outcome = "accepted" if holding or not failures else "undecided"
    return Done(
        "accepted" if outcome == "accepted" else "undecided",
        code,
        message,
        image_status=image.status,
        detail=detail,
    )
