"""`douane images`, `show`, `save`, `delete`: what is in the store."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import click
import msgspec

from douane.units import show_size

from .options import home_option, json_option
from .output import print_json, print_table, size_or_dash
from .store_context import find_image, open_home


@click.command()
@home_option
@json_option
@click.pass_context
def images(ctx: click.Context, home: Path | None, as_json: bool) -> None:
    """List the images that were let in."""
    with open_home(ctx, home) as place:
        found = place.catalog.images()
    if as_json:
        print_json({"images": msgspec.to_builtins(found)})
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
            for image in found
        ),
        colours={"active": "green"},
    )


@click.command()
@click.argument("image_id", metavar="ID")
@home_option
@json_option
@click.pass_context
def show(ctx: click.Context, image_id: str, home: Path | None, as_json: bool) -> None:
    """Show one image: its formats, digests, properties, and how it was let in. ID may be abbreviated."""
    with open_home(ctx, home) as place:
        image = find_image(place, image_id)
        tasks = place.catalog.tasks(image.id)
    if as_json:
        print_json({"image": msgspec.to_builtins(image), "tasks": msgspec.to_builtins(tasks)})
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
def save(ctx: click.Context, image_id: str, file: str, home: Path | None, as_json: bool) -> None:
    """Copy an image out of the store into FILE (- for standard output). Holes stay holes."""
    with open_home(ctx, home) as place:
        image = find_image(place, image_id)
        if file == "-":
            size = place.store.copy_to(image.id, 1)
        elif _is_stream(file):
            with open(file, "wb", buffering=0) as stream:
                size = place.store.copy_to(image.id, stream.fileno())
        else:
            size = place.store.save(image.id, Path(file))
    if as_json and file != "-":
        print_json({"id": image.id, "file": file, "size": size})


@click.command()
@click.argument("image_ids", metavar="ID...", nargs=-1, required=True)
@home_option
@json_option
@click.pass_context
def delete(ctx: click.Context, image_ids: tuple[str, ...], home: Path | None, as_json: bool) -> None:
    """Delete images, their bytes included. IDs may be abbreviated."""
    with open_home(ctx, home) as place:
        named = [find_image(place, image_id) for image_id in image_ids]
        found = list({image.id: image for image in named}.values())
        for image in found:
            place.catalog.delete(image.id)
            place.store.delete(image.id)
    if as_json:
        print_json({"deleted": [image.id for image in found]})


def _is_stream(path: str) -> bool:
    """True for what cannot be replaced by a file: a pipe of the shell (/dev/fd/63), a terminal, /dev/null."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)
