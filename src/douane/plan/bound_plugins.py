"""The plugins that may be bound, and where they may stand; :mod:`douane.plan.binding` says why."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from douane.errors import PlanError

from .binding import DOORS
from .model import Plan, PluginSpec


def check_bindings(plugins: Iterable[tuple[PluginSpec, bool]]) -> None:
    """Raise PlanError for a binding by which images of some senders would pass unseen.

    `plugins`: those of a run, each with True for a transform.
    """
    for spec, is_transform in plugins:
        if not is_transform and (spec.only != DOORS or spec.exempt_roles):
            raise PlanError(
                f"plugin {spec.name!r} is an inspector, which sees every image: remove 'only' and 'exempt_roles', "
                "which are for transforms"
            )


def check_order(plugins: Iterable[tuple[PluginSpec, bool]]) -> None:
    """Raise PlanError for plugins that are bound to stores where that lets images pass unseen, or has no clear meaning.

    `plugins`: those of a whole plan, in order, each with True for a transform. A run may lack the transform that an
    inspector follows, since it is not for this sender.
    """
    earlier: list[PluginSpec] = []
    for spec, is_transform in plugins:
        if is_transform:
            _check_transform(spec, earlier)
            if spec.stores:
                earlier.append(spec)
        else:
            _check_inspector(spec, earlier)


def check_stores(plan: Plan, known: Collection[str]) -> None:
    """Raise PlanError for a plugin that is bound to a store which is not one of `known`."""
    for plugin in plan.plugins:
        for store in plugin.stores:
            if store not in known:
                raise PlanError(
                    f"plugin {plugin.name!r} is bound to the store {store!r:.80}, which is not configured; the stores "
                    f"are: {', '.join(known)}"
                )


def _check_transform(spec: PluginSpec, earlier: Collection[PluginSpec]) -> None:
    if earlier and not spec.stores:
        raise PlanError(
            f"plugin {spec.name!r} transforms the image for all stores, and stands after {next(iter(earlier)).name!r}, "
            "which is for some: put it before"
        )


def _check_inspector(spec: PluginSpec, earlier: Collection[PluginSpec]) -> None:
    if any(not any(store in transform.stores for transform in earlier) for store in spec.stores):
        raise PlanError(
            f"plugin {spec.name!r} is an inspector, which sees every image, unless it inspects what a transform makes "
            "for a store: remove 'stores', or put it after a transform that is bound to these stores"
        )
