"""`douane workers`: who runs imports, on which machine; and to take machines out and back in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from douane.units import number_of, show_size

from .options import home_option, json_option
from .output import plain, print_json, print_table, say
from .service_catalog import config_option, keep_options, service_catalog
from .stranded import why_stranded

if TYPE_CHECKING:
    from douane.catalog import Catalog

WAIT_SECONDS = 0.5


@click.group("workers", invoke_without_command=True)
@home_option
@config_option
@json_option
@click.pass_context
def workers(ctx: click.Context, home: str | None, config: str | None, as_json: bool) -> None:
    """Show the workers of all machines, and what they run.

    A cordoned worker begins nothing new; a drained worker runs nothing, either.
    """
    keep_options(ctx, home, config)
    if ctx.invoked_subcommand is not None:
        return
    with service_catalog(ctx, home, config) as (catalog, _):
        document = _document(catalog)
    if as_json:
        print_json(document)
        return
    print_table(
        ("host", "worker", "state", "version", "stores", "task", "progress"),
        (
            (
                worker["host"],
                worker["name"],
                worker["state"],
                worker["version"],
                ",".join(worker["stores"] or ()) or "-",
                task.get("id", "-"),
                _progress(task),
            )
            for worker in document["workers"]
            for task in worker["tasks"] or [{}]
        ),
        colours={"active": "green", "cordoned": "yellow", "drained": "yellow"},
    )
    running = document["workers"]
    for group in document["stranded"]:
        say(f"douane: {why_stranded(group['count'], group['needs'], running)}")
    present = {name for worker in running for name in (worker["host"], worker["name"])}
    for place in document["cordoned"]:
        if place not in present:
            say(f"douane: {place} is cordoned, and no worker runs there; `douane workers uncordon {place}` ends it")


@workers.command("cordon")
@click.argument("place", metavar="HOST-OR-NAME")
@home_option
@config_option
@click.pass_context
def cordon(ctx: click.Context, place: str, home: str | None, config: str | None) -> None:
    """Let the workers of a machine begin no new import.

    What runs goes on. It holds for workers that are started there later, too, until `uncordon`.
    """
    with service_catalog(ctx, home, config) as (catalog, _):
        count = catalog.cordon(place)
        say(
            f"douane: {place} is cordoned ({number_of(count, 'worker')}); `douane workers uncordon {place}` ends it"
            if count
            else f"douane: {_nobody_at(catalog, place)}; it is cordoned for workers that start there, until `douane "
            f"workers uncordon {place}`"
        )


@workers.command("uncordon")
@click.argument("place", metavar="HOST-OR-NAME")
@home_option
@config_option
@click.pass_context
def uncordon(ctx: click.Context, place: str, home: str | None, config: str | None) -> None:
    """Let the workers of a machine begin imports again."""
    with service_catalog(ctx, home, config) as (catalog, _):
        count = catalog.uncordon(place)
        say(
            f"douane: {place} is not cordoned any more ({number_of(count, 'worker')})"
            if count
            else f"douane: {_nobody_at(catalog, place)}; it is not cordoned"
        )


@workers.command("drain")
@click.argument("place", metavar="HOST-OR-NAME")
@home_option
@config_option
@click.pass_context
def drain(ctx: click.Context, place: str, home: str | None, config: str | None) -> None:
    """Cordon a machine, and wait until its workers run nothing.

    Then it can be stopped without giving an import back. Services take requests meanwhile: `douane drain` stops those.
    """
    import time

    with service_catalog(ctx, home, config) as (catalog, _):
        if not catalog.cordon(place):
            say(f"douane: {_nobody_at(catalog, place)}: is that its name?")
        last = None
        while busy := [worker for worker in _at(catalog, place) if worker.state != "drained"]:
            if len(busy) != last:
                say(f"douane: waiting for {number_of(len(busy), 'worker')} of {place}")
            last = len(busy)
            time.sleep(WAIT_SECONDS)
    say(f"douane: {place} runs nothing; `douane workers uncordon {place}` lets it begin imports again")


def _at(catalog: Catalog, place: str) -> list[Any]:
    return [worker for worker in catalog.workers() if place in (worker.host, worker.name)]


def _nobody_at(catalog: Catalog, place: str) -> str:
    hosts = sorted({plain(worker.host) for worker in catalog.workers()})
    return f"no worker runs at {place} (workers run at: {', '.join(hosts) or 'no machine'})"


def _document(catalog: Catalog) -> dict[str, Any]:
    """The workers with their tasks, and the tasks that wait although no worker can run them."""
    from msgspec import to_builtins

    from douane.catalog.needs import can_run

    listed = catalog.workers()
    by_worker: dict[str, list[dict[str, Any]]] = {}
    for task in catalog.held_tasks():
        by_worker.setdefault(task.worker, []).append(to_builtins(task))
    able = [worker.stores for worker in listed if worker.state == "active"]
    waiting = catalog.waiting_needs()
    return {
        "workers": [{**to_builtins(worker), "tasks": by_worker.get(worker.name, [])} for worker in listed],
        "cordoned": catalog.cordoned_places(),
        "waiting": sum(group.count for group in waiting),
        "stranded": [
            to_builtins(group) for group in waiting if not any(can_run(group.needs, stores) for stores in able)
        ],
    }


def _progress(task: dict[str, Any]) -> str:
    if not task:
        return "-"
    total = "?" if task["total"] is None else show_size(task["total"])
    return f"{show_size(task['done'])} of {total}"
