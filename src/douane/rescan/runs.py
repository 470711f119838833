"""Inspectors on stored bytes, and on findings alone."""

from __future__ import annotations

import select
from collections.abc import Callable, Mapping, Sequence

import msgspec

from douane.engine import Plan, RunOptions, inspect_image
from douane.engine.run import Run
from douane.errors import StoreError
from douane.host.launch import launch
from douane.host.policy import weigh
from douane.plan.resolve import resolve_plan
from douane.report import Bytes, Report, Verdict
from douane.stream.ring import Ring, RingStopped
from douane.stream.source import Source

from .decisions import FINAL
from .fingerprints import Inspector
from .places import Entry

_ALGORITHMS = ("sha512", "sha256", "md5")


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why nobody knows what the inspectors would say."""

    code: str
    message: str


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """What a run over stored bytes has shown."""

    verdicts: list[Verdict]
    lasting: frozenset[str]
    """The inspectors whose verdicts are true of the image whenever it is judged by the same."""

    bytes_read: int
    failure: Failure | None = None


def plan_of(plan: Plan, inspectors: Sequence[Inspector], digests: Sequence[str] = ()) -> Plan:
    """The plan of these inspectors alone."""
    specs = tuple(inspector.spec for inspector in inspectors)
    return msgspec.structs.replace(plan, plugins=specs, digests=(), received_digests=tuple(digests), evidence=None)


def read_image(
    plan: Plan, inspectors: Sequence[Inspector], entry: Entry, open_bytes: Callable[[], Source], options: RunOptions
) -> Read:
    """Run `inspectors` over the bytes of `entry`, which `open_bytes` opens. Raises DouaneError if it cannot."""
    algorithm = next((name for name in _ALGORITHMS if name in entry.digests), None)
    digests = [] if algorithm is None else [algorithm]
    report = inspect_image(
        plan_of(plan, inspectors, digests), entry.declared, open_bytes(), None, options, complete=False
    )
    received, bytes_read = report.received, report.received.size
    refused = [verdict.plugin for verdict in report.verdicts if verdict.outcome == "refused"]
    is_whole = received.complete and len(received.digests()) == len(digests)
    if refused and not is_whole and digests:
        # A refusal ends the reading, and other bytes than those of the image must refuse nothing. It also ends the
        # digest, which may not have come to the last byte yet.
        received = _read_alone(plan, digests, entry, open_bytes(), options)
        bytes_read += received.size
    taken = received.digests() if received.complete else {}
    if any(taken[name] != entry.digests[name] for name in taken):
        failure = Failure(
            code="stored-bytes-differ",
            message=f"the stored bytes have another {algorithm} than the image: `douane fsck --digests` says more",
        )
        return Read(verdicts=[], lasting=frozenset(), bytes_read=bytes_read, failure=failure)
    lasting = frozenset(verdict.plugin for verdict in report.verdicts if verdict.outcome in FINAL)
    if not is_whole:
        lasting = frozenset(refused)
    return Read(verdicts=report.verdicts, lasting=lasting, bytes_read=bytes_read, failure=_failure(inspectors, report))


def _read_alone(plan: Plan, digests: Sequence[str], entry: Entry, source: Source, options: RunOptions) -> Bytes:
    """Read all bytes for their digest. Raises StoreError if that is not possible."""
    report = inspect_image(plan_of(plan, [], digests), entry.declared, source, None, options, complete=False)
    if not report.received.complete or len(report.received.digests()) != len(digests):
        message = report.message or "the stored bytes cannot be read to their end"
        raise StoreError(message, code=report.code or "undecided")
    return report.received


def _failure(inspectors: Sequence[Inspector], report: Report) -> Failure | None:
    """The failure of the run itself, if no verdict explains its outcome."""
    specs = {inspector.name: inspector.spec for inspector in inspectors}
    outcomes = {weigh(specs[verdict.plugin], verdict) for verdict in report.verdicts if verdict.plugin in specs}
    if report.outcome != "undecided" or outcomes - {"accepted"}:
        return None
    return Failure(code=report.code or "undecided", message=report.message or "the image could not be read")


def ask_of_findings(
    plan: Plan, inspector: Inspector, entry: Entry, findings: Mapping[str, object], options: RunOptions
) -> Verdict:
    """The verdict of an inspector that reads findings alone: no byte of the image is read for it."""
    resolved = resolve_plan(plan_of(plan, [inspector]), complete=False)
    source = _Unread(entry.size)
    with (
        launch(resolved, options.tier, options, stores_received=False) as launched,
        Run(launched, source, entry.declared, until="answered", findings=findings) as run,
    ):
        run.go()
        if run.error is not None:
            raise run.error
        verdict = launched.plugins[0].verdict
        assert verdict is not None, "a run ends with an answer"
        return verdict


class _Unread:
    """An image of a known size that nobody reads."""

    name = "the image"

    def __init__(self, size: int) -> None:
        self.size: int | None = size

    def pump(self, ring: Ring) -> None:
        """Wait for the end of the run."""
        poll = select.poll()
        poll.register(ring.stop_fd, select.POLLIN)
        poll.poll()
        raise RingStopped

    def file(self) -> int | None:
        """None: there are no bytes."""
        return None

    def close(self) -> None:
        """Nothing is open."""
