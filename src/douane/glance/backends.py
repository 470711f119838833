"""Where the images of this worker are inspected: by the engine in this process, or by the agent of this host."""

from __future__ import annotations

import functools
import os
import threading

import msgspec

from douane.agent import Agent, AgentInspection, ServedPlan, has_green_threads
from douane.bills.kept import InventoryRecord, write_bill_into
from douane.declared import DeclaredImage
from douane.engine import FileSource, Inspection, Report, RunOptions, Sink, inspect_image, load_plan
from douane.engine.served_plan import emit
from douane.errors import DouaneError, PlanError
from douane.evidence import sign_accepted
from douane.plan.binding import ANYBODY, Sender
from douane.stream.digest import ALGORITHMS

from . import internals
from .settings import Settings
from .summaries import check_summaries

PATIENCE_SECONDS = 120.0
"""How long an import asks again for an agent that went away: one that is restarted is back by then."""


class LocalBackend:
    """The engine in this process.

    Creating it starts every plugin once, so that a broken plugin is an error at once. Raises PlanError or DouaneError,
    with what to do.
    """

    def __init__(self, settings: Settings) -> None:
        if has_green_threads():
            raise DouaneError(
                "this Glance runs under eventlet, in which the engine cannot run: run Glance under uwsgi or mod_wsgi, "
                "or give the images to `douane agent`"
            )
        self._served = ServedPlan.load(settings.config, settings.sandbox)
        if settings.key is not None:
            self._served = _with_digest(self._served, internals.hashing_algorithm())
        self.tier = self._served.tier
        self.transforms = self._served.facts.transforms
        """True if the plan may change images."""
        self.digest = self._served.facts.digest
        """SHA-256 (hex) of the plan: its settings, and the code of its plugins."""
        self.plugins = frozenset(self._served.facts.plugins)
        """Names of the plan's plugins: each owns the properties ``NAME.*``."""
        self.can_refuse = self._served.facts.can_refuse
        """False if the plan lets every image in, whatever its plugins say."""
        self.upload_transforms = self._served.facts.upload_transforms
        """The transforms that an upload may need: by name, the roles of senders who are exempt."""
        self.signs = self._served.facts.signs
        """True if each accepted image gets a signed summary."""

    def begin(
        self,
        declared: DeclaredImage,
        size: int | None,
        name: str,
        sender: Sender = ANYBODY,
        image_id: str | None = None,
    ) -> LocalInspection:
        """Begin to inspect an image that arrives piece by piece; `size` in bytes, if known. Raises DouaneError.

        With `image_id` the report of an accepted image has its summary, if the plan says so.
        """
        try:
            return LocalInspection(self._served, declared, size, name, sender, image_id)
        except (OSError, RuntimeError) as error:  # no descriptor, or no thread, is to be had
            raise DouaneError(f"the inspection cannot begin: {error}") from error

    def inspect(
        self,
        fd: int,
        declared: DeclaredImage,
        name: str,
        result: Sink | None,
        sender: Sender = ANYBODY,
        image_id: str | None = None,
    ) -> Report:
        """Inspect the regular file `fd`, which stays open; transforms write into `result`. Raises DouaneError.

        `image_id` is that of `begin`.
        """
        source = FileSource(os.dup(fd), name)
        plan = self._served.plan.for_sender(sender)
        report = inspect_image(plan, declared, source, result, RunOptions(tier=self.tier, emit=emit))
        sign_accepted(plan, report, image_id, declared.name)
        return report

    def write_bill(self, record: InventoryRecord, fd: int) -> None:
        """Write the bill of materials of an accepted image into the empty file `fd`, by the list of packages in its
        report. Raises DouaneError, OSError."""
        write_bill_into(fd, record, RunOptions(tier=self.tier, emit=emit))


class LocalInspection(Inspection):
    """An inspection in this process, with the digest of its plan."""

    def __init__(
        self,
        served: ServedPlan,
        declared: DeclaredImage,
        size: int | None,
        name: str,
        sender: Sender,
        image_id: str | None,
    ) -> None:
        options = RunOptions(tier=served.tier, emit=emit)
        super().__init__(served.plan.for_sender(sender), declared, options, name=name, size=size)
        self.plan_digest = served.facts.digest
        self._plan = served.plan
        self._image_id, self._image_name = image_id, declared.name

    def result(self) -> Report:
        """See :class:`Inspection`. Raises DouaneError, too, if an accepted image cannot get its summary."""
        report = super().result()
        sign_accepted(self._plan, report, self._image_id, self._image_name)
        return report


class AgentBackend:
    """The agent of this host; attributes and methods are those of :class:`LocalBackend`.

    The agent must run when Glance starts, so that a wrong path shows then. It may read another plan at any time, so
    the attributes are those of the last request. `patience` in seconds. Raises DouaneError.
    """

    def __init__(self, path: str, *, patience: float = 0.0) -> None:
        self._agent = Agent(path)
        self._patience = patience
        self._refresh()

    def _refresh(self) -> None:
        facts = self._agent.plan(patience=self._patience)
        self.transforms, self.digest, self.plugins = facts.transforms, facts.digest, frozenset(facts.plugins)
        self.can_refuse, self.upload_transforms, self.signs = facts.can_refuse, facts.upload_transforms, facts.signs

    def begin(
        self,
        declared: DeclaredImage,
        size: int | None,
        name: str,
        sender: Sender = ANYBODY,
        image_id: str | None = None,
    ) -> AgentInspection:
        """See :class:`LocalBackend`."""
        self._refresh()
        return self._agent.begin(declared, size, name, sender, image_id)

    def inspect(
        self,
        fd: int,
        declared: DeclaredImage,
        name: str,
        result: Sink | None,
        sender: Sender = ANYBODY,
        image_id: str | None = None,
    ) -> Report:
        """See :class:`LocalBackend`."""
        sink = result.fd if result is not None else None
        return self._agent.inspect(
            fd, declared, name, sink=sink, patience=self._patience, sender=sender, image_id=image_id
        )

    def write_bill(self, record: InventoryRecord, fd: int) -> None:
        """See :class:`LocalBackend`."""
        self._agent.write_bill(record, fd, patience=self._patience)


Backend = LocalBackend | AgentBackend
StreamInspection = LocalInspection | AgentInspection
"""An image that arrives piece by piece."""


def open_backend(settings: Settings) -> Backend:
    """The filter's backend, used until Glance ends. Raises PlanError or DouaneError if it cannot be used."""
    backend = AgentBackend(settings.agent) if settings.agent is not None else LocalBackend(settings)
    check_summaries(settings.summaries, signs=backend.signs)
    return backend


def _with_digest(served: ServedPlan, algorithm: str) -> ServedPlan:
    """The same plan with the digest that a proof is about, if the engine can take it."""
    if algorithm not in ALGORITHMS or algorithm in served.plan.digests:
        return served
    plan = msgspec.structs.replace(served.plan, digests=(*served.plan.digests, algorithm))
    return msgspec.structs.replace(served, plan=plan)


def plugin_names(settings: Settings) -> frozenset[str]:
    """The names of the plan's plugins, which are not started. Raises PlanError or DouaneError."""
    if settings.agent is not None:
        return AgentBackend(settings.agent).plugins
    return frozenset(plugin.name for plugin in load_plan(settings.config).plugins)


_lock = threading.Lock()


def import_backend(settings: Settings) -> Backend:
    """The import plugin's backend: it follows the plan's file, and waits for an agent that is being restarted.

    Raises PlanError or DouaneError if it cannot be used, even if the plan was good before.
    """
    if settings.agent is not None:
        return AgentBackend(settings.agent, patience=PATIENCE_SECONDS)
    with _lock:  # so that concurrent imports start the plugins once
        return _local_backend(settings, _signature(settings.config or ""))


@functools.lru_cache(maxsize=1)
def _local_backend(settings: Settings, _signature: tuple[int, ...]) -> LocalBackend:
    return LocalBackend(settings)


def _signature(config: str) -> tuple[int, ...]:
    """Numbers that differ when `config` is another file."""
    try:
        status = os.stat(config)
    except OSError as error:
        raise PlanError(f"the configuration {config} cannot be read: {error.strerror}") from error
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
