"""A real Glance with a real Keystone for the measurements, those of the tests (tests/support/glance)."""

from __future__ import annotations

import contextlib
import http.client
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from .driving import WrongOutcome

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))

# the folder is added above
from support.glance import agent_server, glance_config, glance_server, images, keystone, postgres  # noqa: E402
from support.glance.environments import FOLDER  # noqa: E402

NEEDED = ("33", "keystone")
_TICKS = os.sysconf("SC_CLK_TCK")
_LOOK_SECONDS = 0.01


def missing_environments() -> str | None:
    """The remedy if there is no Glance to measure; None if there is."""
    names = [name for name in NEEDED if not (FOLDER / name / "bin" / "python").exists()]
    if not names:
        return None
    return f"there is no Glance; make it: scripts/glance-env.sh postgresql {' '.join(NEEDED)}"


@dataclass(frozen=True)
class Usage:
    """`seconds` of an operation, and the usage of all processes of a Glance: `cpu` seconds, and bytes `written` to the
    cache of a disk."""

    seconds: float
    cpu: float
    written: int

    def __sub__(self, earlier: Usage) -> Usage:
        return Usage(self.seconds - earlier.seconds, self.cpu - earlier.cpu, self.written - earlier.written)


class MeasuredGlance:
    """A running Glance."""

    def __init__(self, glance: glance_server.Glance, agent: agent_server.AgentServer | None = None) -> None:
        """The usage of `agent` counts as that of this Glance."""
        self._glance = glance
        self._agent = agent
        self._api = glance.api()

    def create(self) -> str:
        """Create a raw image; return its id."""
        return images.create(self._api, name="bench")

    def upload(self, image: str, door: str, data: Path) -> float:
        """Seconds of PUT `door` (``file`` or ``stage``), from the connection to the answer. Raises WrongOutcome.

        The file is sent by sendfile(2): a client that copies would take processor time from Glance.
        """
        began = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", self._glance.port, timeout=600)
        with contextlib.closing(connection), data.open("rb") as file:
            connection.putrequest("PUT", f"/v2/images/{image}/{door}")
            size = data.stat().st_size
            headers = {"X-Auth-Token": str(self._api.token), "Content-Length": str(size), **images.OCTETS}
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            connection.sock.sendfile(file)
            response = connection.getresponse()
            body = response.read()
        seconds = time.perf_counter() - began
        if response.status != 204:
            raise WrongOutcome(
                f"Glance answers {door} with {response.status}: {body!r:.500}\n{self._glance.log[-2000:]}"
            )
        return seconds

    def run_import(self, image: str) -> float:
        """Seconds of an import of the staged data, from the request until the image is active. Raises WrongOutcome.

        The end is recognised by the removal of the staged file, as requests to Glance would slow it down.
        """
        staged = self._glance.folder / "staging" / image
        began = time.perf_counter()
        reply = images.start_import(self._api, image)
        if reply.status != 202:
            raise WrongOutcome(f"Glance answers the import with {reply.status}: {reply.text}")
        while staged.exists() and time.perf_counter() - began < 600:
            time.sleep(_LOOK_SECONDS)
        seconds = time.perf_counter() - began
        if images.settled(self._api, image) != "active":
            raise WrongOutcome(f"the image was not imported:\n{self._glance.log[-4000:]}")
        return seconds

    def image_properties(self, image: str) -> dict[str, object]:
        """The image as shown to its owner."""
        image_properties: dict[str, object] = self._api.must("GET", f"/v2/images/{image}")
        return image_properties

    def log(self) -> str:
        """The log so far."""
        return self._glance.log

    def delete(self, image: str) -> None:
        """Delete the image and its data."""
        self._api.must("DELETE", f"/v2/images/{image}")

    def usage(self) -> Usage:
        """The usage of its processes, and of their ended children (proc_pid_stat(5), proc_pid_io(5))."""
        cpu, written = 0, 0
        servers = [self._glance.process, *([self._agent.process] if self._agent is not None else [])]
        for pid in chain.from_iterable(_group(server.pid) for server in servers):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                cpu += sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime
                counters = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
                written += int(counters["write_bytes"])
        return Usage(time.perf_counter(), cpu / _TICKS, written)


def _group(leader: int) -> Iterator[int]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[2]) == leader:
                yield int(stat.parent.name)


@dataclass(frozen=True)
class Setup:
    """A Glance to measure; with `plan`, an agent with this plan beside it."""

    config: Callable[[str], glance_config.GlanceConfig]
    """The configuration by the path of the agent's socket, which is empty without an agent."""
    plan: Path | None = None


@contextlib.contextmanager
def glances(folder: Path, setups: Sequence[Setup]) -> Iterator[list[MeasuredGlance]]:
    """Run a Glance for each of `setups` below `folder`, with one Keystone and one database for all."""
    with contextlib.ExitStack() as stack:
        database = postgres.Postgres()
        stack.callback(database.stop)
        database.start()
        (folder / "keystone").mkdir()
        identity = keystone.Keystone(folder / "keystone", database)
        stack.callback(identity.stop)
        identity.start()
        started = []
        for number, setup in enumerate(setups):
            glance_folder = folder / f"glance-{number}"
            glance_folder.mkdir()
            agent = None
            if setup.plan is not None:
                agent = agent_server.AgentServer("33", setup.plan)
                stack.callback(agent.close)
                agent.start()
            config = setup.config(agent.socket if agent is not None else "")
            glance = glance_server.Glance(config, glance_folder, database, identity)
            stack.callback(glance.close)
            glance.start()
            started.append(MeasuredGlance(glance, agent))
        yield started
