"""`douane upload`: bring a file into an image service, over lines that break off."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from douane.errors import NotPrinted, PlanError, SourceError
from douane.units import show_size

from .options import json_option
from .output import plain, print_json, progress_bar, say

if TYPE_CHECKING:
    from douane.client.running import Order, Result
    from douane.client.uploading import ShowProgress

FORMATS = {
    ".img": "raw", ".iso": "iso", ".qcow2": "qcow2", ".raw": "raw", ".vdi": "vdi", ".vhd": "vhd", ".vhdx": "vhdx",
    ".vmdk": "vmdk",
}  # fmt: skip
"""The disk format that the suffix of a file says."""
_LINE_PER_CENT = 10


@click.command()
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("--image", "image_id", metavar="ID", help="An image without bytes, or with an upload that broke off.")
@click.option("--name", metavar="N", help="The image's name. Default: the name of the file.")
@click.option("--disk-format", metavar="F", help="Such as qcow2 or raw. Default: as the suffix of FILE says.")
@click.option("--container-format", metavar="F", default="bare", show_default=True, help="The container's format.")
@click.option("--property", "properties", metavar="K=V", multiple=True, help="A property of the image. Repeatable.")
@click.option("--visibility", type=click.Choice(["private", "shared", "community", "public"]), help="Who sees it.")
@click.option("--store", metavar="ID", help="The store to keep it in. Default: the service's.")
@click.option("--import", "uses_import", is_flag=True, help="Stage the bytes and import them (glance-direct).")
@click.option("--url", metavar="URL", help="The image service. Default: OS_ENDPOINT, or Keystone's catalog.")
@click.option(
    "--patience", metavar="S", type=click.FloatRange(min=1), default=600.0, show_default=True,
    help="Give up after so many seconds without progress.",
)  # fmt: skip
@json_option
@click.pass_context
def upload(
    ctx: click.Context,
    file: str,
    image_id: str | None,
    name: str | None,
    disk_format: str | None,
    container_format: str,
    properties: tuple[str, ...],
    visibility: str | None,
    store: str | None,
    uses_import: bool,
    url: str | None,
    patience: float,
    as_json: bool,
) -> None:
    """Upload FILE to an image service; print the id.

    If the line breaks, the upload goes on where it was, as often as it takes; where the service cannot do that (plain
    Glance), it begins anew. FILE may be - for standard input, which is sent once. The service and the user are those of
    the environment: OS_ENDPOINT, OS_TOKEN, or OS_AUTH_URL with a password or an application credential.
    """
    from douane.client.running import Order

    fields: dict[str, Any] = {}
    if image_id is None:
        fields = {"name": name or _name_of(file), "container_format": container_format, **_properties(properties)}
        fields["disk_format"] = disk_format or _format_of(file)
        if visibility is not None:
            fields["visibility"] = visibility
    elif name or disk_format or properties or visibility:
        raise click.UsageError("--image names an image that has a name, formats and properties already")
    order = Order(
        file=file,
        image_id=image_id,
        fields=fields,
        store=store,
        uses_import=uses_import,
        url=url,
        patience=patience,
    )
    with _shown_progress(file, as_json=as_json) as progress:
        result = _run(order, progress)
    try:
        _print(result, file, as_json=as_json)
    except (OSError, KeyboardInterrupt, SystemExit) as error:
        if result.end.exit_code:
            raise
        raise NotPrinted(
            f"the image {result.end.image.get('id')} is active, but its id could not be printed"
        ) from error
    ctx.exit(result.end.exit_code)


def _run(order: Order, progress: ShowProgress) -> Result:
    from douane.client.running import upload_file

    try:
        return upload_file(order, os.environ, lambda text: say(f"upload: {text}"), progress)
    except OSError as error:
        raise SourceError(f"{order.file} cannot be read: {error.strerror or error}") from error


def _name_of(file: str) -> str:
    if file == "-":
        raise click.UsageError("--name is needed for standard input")
    return os.path.basename(file)


def _format_of(file: str) -> str:
    suffix = os.path.splitext(file)[1].lower()
    if suffix not in FORMATS:
        raise click.UsageError("--disk-format is needed: the suffix of FILE does not say it")
    return FORMATS[suffix]


def _properties(words: tuple[str, ...]) -> dict[str, str]:
    properties = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or not name:
            raise PlanError(f"--property {word!r:.80} is not of the form K=V")
        properties[name] = value
    return properties


@contextmanager
def _shown_progress(file: str, *, as_json: bool) -> Iterator[ShowProgress]:
    """A bar on a terminal, a line for each tenth otherwise."""
    with progress_bar(f"upload {file}", visible=not as_json) as bar:
        yield bar or _lines(quiet=as_json)


def _lines(*, quiet: bool) -> ShowProgress:
    last_tenth = 0

    def show(position: int, total: int | None) -> None:
        nonlocal last_tenth
        if quiet or not total:
            return
        tenth = position * 100 // total // _LINE_PER_CENT
        if tenth > last_tenth:
            last_tenth = tenth
            say(f"upload: {tenth * _LINE_PER_CENT} % of {show_size(total)}")

    return show


def _print(result: Result, file: str, *, as_json: bool) -> None:
    end = result.end
    if as_json:
        document: dict[str, Any] = {"outcome": end.outcome, "code": end.code, "message": end.message, "verdicts": []}
        print_json({**document, "image": end.image, "sums": result.sums, "compared": result.compared})
        return
    if end.outcome == "accepted":
        compared = f"; equal by {', '.join(result.compared)}" if result.compared else "; the service shows no sum"
        say(f"upload: accepted{compared}")
        click.echo(end.image.get("id"))
        return
    headline = "refused" if end.outcome == "refused" else "undecided: not let in"
    click.secho(f"{headline}: {plain(file)}", fg="red" if end.outcome == "refused" else "yellow", bold=True)
    click.echo(f"  {plain(end.code or '')}: {plain(end.message or '')}")
