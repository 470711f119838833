"""Run a plugin that shows the guest of an image: a file, or an image in the store; unpacked before, if it is packed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import msgspec

from douane.errors import NotShown, PlanError
from douane.report import EXIT_CODES
from douane.units import number_of

from .options import ViewOptions, name_of, run_options, run_tier
from .output import say

if TYPE_CHECKING:
    from douane.bills.unread import UnreadParts
    from douane.engine import Plan
    from douane.report import Report, Verdict
    from douane.stream.sink import Sink
    from douane.stream.source import Source

    Config = Mapping[str, str | bool]

UNPACKING = {
    "guest-archive": ("untar", "ova"),
    "guest-compressed": ("untar", "decompress", "ova"),
    "tar-descriptor": ("ova-any-order",),
    "ova-order": ("ova-any-order",),
}
"""The transforms that an image goes through next, by the code with which it was refused. An appliance whose descriptor
follows the disk is read by the transform that needs all of it in a file."""

NAME = "guest"
CLOSED, EMPTY = "output-closed", "empty"
"""Codes of a report."""

UNREAD = 3
"""The exit code if anything could not be read."""

WORK_SECONDS = 86_400
"""A command that shows an image is ended by the person who started it."""

MAX_OUTPUT = 1 << 62
MAX_RATIO = 1e18


class Shown(NamedTuple):
    """What came of a run that shows an image."""

    report: Report
    verdict: Verdict
    unpacked: dict[str, dict[str, Any]]
    """The properties of the transforms that changed the image, by their names."""


class Opener(NamedTuple):
    """How to open an image, as often as needed."""

    image: str
    """As on the command line."""

    name: str
    open: Callable[[], Source]
    sha256: str | None = None
    """Of an image in the store."""


@contextlib.contextmanager
def opened(ctx: click.Context, image: str, home: str | None) -> Iterator[Opener]:
    """Open `image`: a file, - for standard input, or the id of an image in the store. A file comes first."""
    from douane.engine import open_source
    from douane.own_folders import default_home  # `douane.imports` takes 0.2 s of a processor to import

    folder = home or ctx.obj or default_home()
    if image == "-" or "/" in image or os.path.lexists(image) or not os.path.isdir(folder):
        yield Opener(image, "standard input" if image == "-" else image, lambda: open_source(image))
        return
    from douane.bills.writer import stored_name
    from douane.stream.stored_source import source_of

    from .store_context import find_image, open_home

    with open_home(ctx, home) as store_home:
        try:
            stored = find_image(store_home, image)
        except PlanError as error:
            raise PlanError(f"there is no file {image}; and as an image in the store: {error}") from error
        name = stored_name(stored.id)
        source = store_home.store.open
        yield Opener(image, name, lambda: source_of(source(stored.id), name), stored.digests.get("sha256"))


def show(
    opener: Opener, view: ViewOptions, plugin: str, config: Config, sink: Sink | None = None, *, digest: bool = False
) -> Shown:
    """Run `plugin` on the image: where it lies, if it is a file that is not packed. `sink` gets the output.

    With `digest` the whole image is read, and the report has its SHA-256. Raises DouaneError, and BrokenPipeError if
    nobody reads the output.
    """
    from douane.stream.in_place import InPlaceSource
    from douane.stream.source import FileSource

    transforms: Sequence[str] = UNPACKING["guest-compressed"]  # of a stream, which is read once
    source = opener.open()
    is_file = isinstance(source, FileSource)
    if isinstance(source, FileSource):
        with contextlib.closing(source):
            in_place = InPlaceSource(os.dup(source.file()), source.name, digested=digest)
        with contextlib.closing(in_place.sink):
            report = _run(_plan((), plugin, config, digest), opener, in_place, view, sink, in_place.sink)
            in_place.check()
        if report.code not in UNPACKING:
            return _shown(report)
        transforms = UNPACKING[report.code]
        source = opener.open()
    config = {**config, "unpacked": True}
    report = _run(_plan(transforms, plugin, config, digest), opener, source, view, sink)
    if is_file and report.code in UNPACKING:
        report = _run(_plan(UNPACKING[report.code], plugin, config, digest), opener, opener.open(), view, sink)
    return _shown(report)


def say_unpacked(opener: Opener, shown: Shown) -> None:
    """Say which transforms have unpacked the image, on standard error."""
    for name, facts in shown.unpacked.items():
        say(f"{opener.name}: unpacked by {name} ({pairs(facts)})")


def pairs(facts: Mapping[str, Any]) -> str:
    """The properties of a transform."""
    return ", ".join(f"{key} {value}" for key, value in facts.items())


def _plan(transforms: Sequence[str], plugin: str, config: Config, digest: bool) -> Plan:
    from douane.engine import Plan, PluginSpec
    from douane.plan.builtin import needs_of

    specs = [PluginSpec(name=name, use=name, **needs_of(name)) for name in transforms]
    shows = PluginSpec(
        name=NAME,
        use=f"douane.plugins.guest_view.{plugin}",
        config=dict(config),
        timeout=WORK_SECONDS,
        max_output=MAX_OUTPUT,
        max_ratio=MAX_RATIO,
    )
    return Plan(plugins=(*specs, shows), digests=(), received_digests=("sha256",) if digest else ())


def _run(
    plan: Plan, opener: Opener, source: Source, view: ViewOptions, sink: Sink | None, in_place: Sink | None = None
) -> Report:
    from douane.declared import DeclaredImage
    from douane.engine import inspect_image

    options = run_options(run_tier(plan, view.sandbox), view.verbose, None)
    options = msgspec.structs.replace(options, in_place=in_place)
    return inspect_image(plan, DeclaredImage(name=name_of(opener.image)), source, sink, options, complete=False)


def _shown(report: Report) -> Shown:
    """Raises NotShown, and BrokenPipeError."""
    verdict = next((verdict for verdict in report.verdicts if verdict.plugin == NAME), None)
    if report.code == CLOSED:
        raise BrokenPipeError
    # An empty file, or an empty folder: an output without bytes is no failure here.
    if verdict is None or verdict.outcome != "accepted" or (report.outcome != "accepted" and report.code != EMPTY):
        raise _failure(report)
    unpacked = {
        other.plugin: {key.partition(".")[2]: value for key, value in other.properties.items()}
        for other in report.verdicts
        if other is not verdict and other.properties
    }
    return Shown(report, verdict, unpacked)


def _failure(report: Report) -> NotShown:
    error = NotShown(
        report.message or "the image could not be read", code=report.code, exit_code=EXIT_CODES[report.outcome]
    )
    for verdict in report.verdicts:
        if verdict.decisive and verdict.detail:
            error.add_note(f"{verdict.plugin}: {verdict.detail.rstrip()}")
    return error


def end(ctx: click.Context, unread: UnreadParts, *, silent: bool = False) -> None:
    """Say what could not be read, and exit with 3 if there is anything. `silent`: the output has it already."""
    for part in () if silent else unread.parts:
        say(f"unread: {part.place}: {part.why} ({part.code})")
    if not silent and unread.count > len(unread.parts):
        say(f"unread: {number_of(unread.count - len(unread.parts), 'more part')}")
    ctx.exit(UNREAD if unread.count else 0)
