"""`douane images`, `show`, `save`, `delete`, `reactivate`, `evidence`: the images in the store."""

from __future__ import annotations

import os
import stat

import click

from douane.errors import NotFound, StoreError
from douane.units import show_size

from .options import home_option, json_option
from .output import print_json, print_table, size_or_dash
from .store_context import find_image, find_images, open_home


@click.command()
@home_option
@json_option
@click.pass_context
def images(ctx: click.Context, home: str | None, as_json: bool) -> None:
    """List the images in the store."""
    with open_home(ctx, home) as store_home:
        listed = store_home.catalog.images()
    if as_json:
        from msgspec import to_builtins

        print_json({"images": to_builtins(listed)})
        return
    print_table(
        ("id", "name", "status", "format", "size", "virtual size"),
        (
            (
                image.id,
                image.name or "-",
                image.status,
                image.disk_format or "-",
                size_or_dash(image.size),
                size_or_dash(image.virtual_size),
            )
            for image in listed
        ),
        colours={"active": "green"},
    )


@click.command()
@click.argument("image_id", metavar="ID")
@home_option
@json_option
@click.pass_context
def show(ctx: click.Context, image_id: str, home: str | None, as_json: bool) -> None:
    """Show an image: formats, digests, properties, imports.

    ID may be abbreviated.
    """
    with open_home(ctx, home) as store_home:
        image = find_image(store_home, image_id)
        tasks = store_home.catalog.tasks(image.id)
    if as_json:
        from msgspec import to_builtins

        print_json({"image": to_builtins(image), "tasks": to_builtins(tasks)})
        return
    rows = [
        ("id", image.id),
        ("name", image.name or "-"),
        ("status", image.status),
        ("disk format", image.disk_format or "-"),
        ("container format", image.container_format or "-"),
        ("size", f"{image.size} ({show_size(image.size)})" if image.size is not None else "-"),
        ("virtual size", size_or_dash(image.virtual_size)),
        *image.digests.items(),
        ("created", image.created_at),
        *((f"property {key}", value) for key, value in sorted(image.properties.items())),
        *((f"import {task.id}", task.outcome or task.step) for task in tasks),
    ]
    print_table(("field", "value"), rows)


@click.command()
@click.argument("image_id", metavar="ID")
@click.argument("file", type=click.Path(allow_dash=True))
@home_option
@json_option
@click.pass_context
def save(ctx: click.Context, image_id: str, file: str, home: str | None, as_json: bool) -> None:
    """Copy an image from the store to FILE.

    FILE may be - for standard output. An existing file is replaced. Holes stay holes. ID may be abbreviated.
    """
    with open_home(ctx, home) as store_home:
        image = find_image(store_home, image_id)
        if file == "-":
            size = store_home.store.copy_to(image.id, 1)
        elif _is_stream(file):
            with open(file, "wb", buffering=0) as stream:
                size = store_home.store.copy_to(image.id, stream.fileno())
        else:
            from pathlib import Path

            from douane.stores import save as save_image

            size = save_image(store_home.store, image.id, Path(file))
    if as_json and file != "-":
        print_json({"id": image.id, "file": file, "size": size})


@click.command()
@click.argument("image_id", metavar="ID")
@home_option
@click.pass_context
def evidence(ctx: click.Context, image_id: str, home: str | None) -> None:
    """Print the signed summary of an image, for `douane verify`.

    ID may be abbreviated.
    """
    with open_home(ctx, home) as store_home:
        image = find_image(store_home, image_id)
        imports = store_home.catalog.accepted_imports([image.id]).get(image.id, [])
    reports = (accepted.report for accepted in reversed(imports))
    summaries = (report["summary"] for report in reports if isinstance(report, dict) and report.get("summary"))
    summary = next(summaries, None)
    if summary is None:
        raise NotFound(f"the image {image.id} has no summary: it was imported without [evidence]")
    print_json(summary)


@click.command()
@click.argument("image_ids", metavar="ID...", nargs=-1, required=True)
@home_option
@json_option
@click.pass_context
def delete(ctx: click.Context, image_ids: tuple[str, ...], home: str | None, as_json: bool) -> None:
    """Delete images and their bytes.

    IDs may be abbreviated.
    """
    with open_home(ctx, home) as store_home:
        deleted = find_images(store_home, image_ids)
        for image in deleted:
            if store_home.store.clones(image.id):
                raise StoreError(
                    f"the image {image.id} has clones in the store: delete these first", code="image-in-use"
                )
            store_home.catalog.delete(image.id)
            store_home.store.delete(image.id)
    if as_json:
        print_json({"deleted": [image.id for image in deleted]})


@click.command()
@click.argument("image_ids", metavar="ID...", nargs=-1, required=True)
@home_option
@json_option
@click.pass_context
def reactivate(ctx: click.Context, image_ids: tuple[str, ...], home: str | None, as_json: bool) -> None:
    """Activate images again that `douane rescan` has deactivated.

    No plugin judges them: `douane rescan ID` says whether they would be let in now. IDs may be abbreviated.
    """
    with open_home(ctx, home) as store_home:
        matches = find_images(store_home, image_ids)
        for image in matches:
            if image.status != "active":  # as in the Image API, repeating it is no error
                store_home.catalog.reactivate(image.id)
    if as_json:
        print_json({"active": [image.id for image in matches]})


def _is_stream(path: str) -> bool:
    """Tell if a file cannot replace `path`: a pipe of the shell (/dev/fd/63), a terminal, /dev/null."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)
