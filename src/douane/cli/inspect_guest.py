"""`douane inspect --guest`: what the virtual machine will see, for a person or as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec

from douane.bills.unread import unread_parts
from douane.units import show_size

from .guest_run import Shown, end, opened, pairs, show
from .guest_summary import GuestSummary, read_summary
from .output import plain, print_json

if TYPE_CHECKING:
    from douane.bills.unread import UnreadParts

    from .guest_summary import Account, Boot, System, Volume
    from .options import ViewOptions

MAX_ROWS = 40
"""Rows of a list that are shown to a person without --verbose."""

PASSWORDS = {"empty": "no password is needed", "locked": "locked", "none": "no password", "set": "password"}
LABEL_WIDTH = 12


def inspect_guest(ctx: click.Context, image: str, view: ViewOptions, *, as_json: bool) -> None:
    """Show the guest of an image, and exit."""
    with opened(ctx, image, view.home) as opener:
        shown = show(opener, view, "summary:Summary", {})
    summary, unread = read_summary(shown.verdict.documents.get("guest")), unread_parts(shown.verdict)
    if as_json:
        # docs/guest.md lists the keys.
        facts: dict[str, Any] = msgspec.to_builtins(summary)
        parts = {"unread": msgspec.to_builtins(unread)}
        print_json({"file": opener.name, "unpacked": shown.unpacked, "sandbox": shown.report.sandbox} | facts | parts)
    else:
        Page(everything=view.verbose).show(opener.name, shown, summary, unread)
    end(ctx, unread, silent=True)


class Page:
    """Prints the facts. Every text of the guest is a stranger's."""

    def __init__(self, *, everything: bool) -> None:
        self._everything = everything

    def show(self, name: str, shown: Shown, summary: GuestSummary, unread: UnreadParts) -> None:
        """All of it."""
        click.secho(plain(name), bold=True)
        disk = summary.disk
        _row("disk", "could not be read" if disk is None else f"{plain(disk.format)}, {show_size(disk.size)}")
        for transform, facts in shown.unpacked.items():
            _row("unpacked", plain(f"by {transform} ({pairs(facts)})"))
        _row("sandbox", shown.report.sandbox)
        self._volumes(summary.volumes)
        for system in summary.systems:
            self._system(system)
        if not summary.systems:
            click.echo("\nno volume holds a system")
        self._boot(summary.boot)
        self._unread(unread)
        if summary.left_out:
            click.echo(f"\n{summary.left_out} rows do not fit and were left out")

    def _volumes(self, volumes: Sequence[Volume]) -> None:
        _heading("volumes")
        rows = [
            (
                volume.name,
                volume.filesystem,
                show_size(volume.size),
                "" if volume.clean is not False else "not unmounted",
                " ".join(volume.mounted) or "-",
                volume.label or "-",
                volume.uuid,
            )
            for volume in self._rows(volumes)
        ]
        _columns([("name", "file system", "size", "", "mounted", "label", "uuid"), *rows] if rows else [])
        self._more(volumes)

    def _system(self, system: System) -> None:
        title = system.os.get("PRETTY_NAME") or " ".join(
            filter(None, (system.os.get("NAME") or system.os.get("ID"), system.os.get("VERSION_ID")))
        )
        _heading(f"system on {plain(system.volume)}: {plain(title) or 'of an unknown kind'}")
        _row("packages", ", ".join(f"{count} {plain(kind)}" for kind, count in system.packages.items()) or "none")
        for kernel in self._rows(system.kernels):
            _row("kernel", plain(f"{kernel.version or 'of an unknown version'} ({kernel.volume}:{kernel.path})"))
        self._more(system.kernels)
        _row("machine-id", system.machine_id, warns=system.machine_id == "set")
        if system.dbus_machine_id not in ("absent", system.machine_id):
            _row("", f"of D-Bus: {system.dbus_machine_id}", warns=system.dbus_machine_id == "set")
        self._first_boot(system)
        for key in self._rows(system.host_keys):
            words = key.path if key.key is None else f"{key.key.type} {key.key.fingerprint} ({key.path})"
            _row("host key", plain(words), warns=True)
        _row("accounts", f"{system.account_count}, with a password or a key: {len(system.accounts)}")
        for account in self._rows(system.accounts):
            self._account(account)
        self._more(system.accounts)

    def _first_boot(self, system: System) -> None:
        cloud_init, ignition = system.cloud_init, system.ignition
        if cloud_init is not None:
            words = [
                "on" if cloud_init.enabled else "switched off",
                f"data sources {', '.join(cloud_init.data_sources) or 'not set'}",
                *(f"seed {seed}" for seed in cloud_init.seeds),
                *(["has run before"] if cloud_init.ran else []),
            ]
            _row("cloud-init", plain("; ".join(words)), warns=cloud_init.ran)
        if ignition is not None:
            _row("ignition", plain(f"{ignition.platform or 'platform not set'}; {_will_run(ignition.will_run)}"))
        if system.cloudbase_init:
            _row("cloudbase", "cloudbase-init is installed")
        if cloud_init is None and ignition is None and not system.cloudbase_init:
            _row("first boot", "neither cloud-init nor ignition")

    def _account(self, account: Account) -> None:
        words = " ".join(filter(None, (PASSWORDS[account.password], account.hash)))
        line = plain(f"{account.name} (uid {account.uid}, {account.shell or 'no shell'}): {words}")
        click.secho(f"    {line}", fg="red" if account.password == "empty" else None)  # noqa: S105 - a state
        for key in self._rows(account.keys):
            click.echo(f"      {plain(f'{key.type} {key.fingerprint} {key.comment} ({key.path})')}")
        self._more(account.keys)

    def _boot(self, boot: Boot) -> None:
        _heading("boot")
        _columns([(loader.firmware, loader.kind, loader.place) for loader in self._rows(boot.loaders)])
        self._more(boot.loaders)
        if not boot.loaders:
            click.echo("  no boot loader")
        for place in self._rows(boot.settings):
            _row("settings", plain(place))
        for volume in self._rows(boot.data_volumes):
            _row("data", plain(f"the volume {volume} has data for cloud-init"))

    def _unread(self, unread: UnreadParts) -> None:
        if not unread.count:
            return
        click.secho(f"\nunread: {unread.count}", fg="yellow", bold=True)
        for part in self._rows(unread.parts):
            click.secho(f"  {plain(part.place)}: {plain(part.why)} ({plain(part.code)})", fg="yellow")
        self._more(range(unread.count), of=len(self._rows(unread.parts)))

    def _rows(self, rows: Sequence[Any]) -> Sequence[Any]:
        return rows if self._everything else rows[:MAX_ROWS]

    def _more(self, rows: Sequence[Any], *, of: int | None = None) -> None:
        hidden = len(rows) - (len(self._rows(rows)) if of is None else of)
        if hidden > 0:
            click.echo(f"  ... and {hidden} more: --verbose")


def _heading(text: str) -> None:
    click.secho(f"\n{text}", bold=True)


def _row(label: str, words: str, *, warns: bool = False) -> None:
    click.echo(f"  {label:<{LABEL_WIDTH}} " + click.style(words, fg="yellow" if warns else None))


def _columns(rows: Iterable[Sequence[str]]) -> None:
    cells = [[plain(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True) if width)
        click.echo(f"  {line}".rstrip())


def _will_run(will_run: bool) -> str:
    return "will run at the next start" if will_run else "not marked for a first start"
