"""A real Ceph of one machine: a monitor, one OSD on a sparse file, and, if asked for, its S3 gateway. On loopback only.

The system's packages: ceph-mon, ceph-osd, ceph-common, radosgw, python3-rbd.
`scripts/glance-env.sh ceph` installs them.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from .processes import SECONDS, stop

OSD_BYTES = 8 << 30
"""The length of the OSD's sparse file."""

_END_SECONDS = 30.0


class S3Account(NamedTuple):
    """A user of the gateway."""

    access_key: str
    secret_key: str


class Ceph:
    """A running cluster, in a folder of its own. Use :func:`running_ceph`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.conf = folder / "ceph.conf"
        self.keyring = folder / "keyring"
        self.fsid = str(uuid.uuid4())
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    # running

    def start(self) -> None:
        """Make the cluster and start its monitor and its OSD."""
        port = free_port()
        self.conf.write_text(_CONF.format(fsid=self.fsid, port=port, folder=self.folder, osd_bytes=OSD_BYTES))
        for name in ("mon", "osd", "run", "rgw"):
            (self.folder / name).mkdir()
        everything = ["--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *"]
        self._run(
            "ceph-authtool", "--create-keyring", self.keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *"
        )
        self._run("ceph-authtool", self.keyring, "--gen-key", "-n", "client.admin", *everything)
        self._run("ceph-authtool", self.keyring, "--gen-key", "-n", "osd.0", *everything)
        monmap = self.folder / "monmap"
        self._run("monmaptool", "--create", "--addv", "a", f"[v2:127.0.0.1:{port}]", "--fsid", self.fsid, monmap)
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", self.keyring, *self._options)
        self.start_mon()
        self.ceph("mon", "enable-msgr2")
        osd = str(uuid.uuid4())
        self.ceph("osd", "new", osd)
        self.ceph("auth", "import", "-i", str(self.keyring))
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd, *self._options)
        self.start_osd()

    def start_mon(self) -> None:
        """Start the monitor; commands wait until it answers."""
        self._start("mon", "ceph-mon", "-i", "a")

    def start_osd(self) -> None:
        """Start the OSD, and wait until it is up."""
        self.ceph("osd", "down", "0")  # of one that was killed, the monitor has not heard yet
        self._start("osd", "ceph-osd", "-i", "0")
        self._wait("the OSD", lambda: self.ceph("osd", "stat")["num_up_osds"] == 1)

    def stop(self, name: str) -> None:
        """Kill one process ("mon", "osd", "rgw") and wait for its end. Idempotent."""
        process = self._processes.pop(name, None)
        if process is not None:
            process.kill()
            process.wait(_END_SECONDS)

    @contextmanager
    def paused(self, name: str) -> Iterator[None]:
        """For a while, one process stands still."""
        stop(self._processes[name].pid)
        try:
            yield
        finally:
            self._processes[name].send_signal(signal.SIGCONT)

    @contextmanager
    def full(self, pool: str) -> Iterator[None]:
        """For a while, a pool takes no more bytes, as if the OSD were full."""

        def is_full() -> bool:
            pools = self.ceph("osd", "dump")["pools"]
            return any("full" in each["flags_names"].split(",") for each in pools if each["pool_name"] == pool)

        for kind, ratio in (("nearfull", "0.0001"), ("backfillfull", "0.0002"), ("full", "0.0003")):
            self.ceph("osd", f"set-{kind}-ratio", ratio)
        self._wait("the full pool", is_full)
        try:
            yield
        finally:
            for kind, ratio in (("full", "0.98"), ("backfillfull", "0.97"), ("nearfull", "0.96")):
                self.ceph("osd", f"set-{kind}-ratio", ratio)
            self._wait("room in the pool", lambda: not is_full())

    def close(self) -> None:
        """Kill everything."""
        for name in list(self._processes):
            self.stop(name)

    # use

    def ceph(self, *command: str) -> Any:
        """The answer of ``ceph COMMAND``, from JSON."""
        output = self._run("ceph", *self._options, "--connect-timeout", "60", "--format", "json", *command)
        return json.loads(output) if output.strip() else None

    def make_pool(self, name: str) -> None:
        """Make a pool for images."""
        self.ceph("osd", "pool", "create", name, "8", "8")
        self._run("rbd", *self._options, "pool", "init", name)

    def has_pool(self, name: str) -> bool:
        """True if there is a pool of this name."""
        return name in self.ceph("osd", "pool", "ls")

    def rbd(self, *command: str) -> str:
        """The output of ``rbd COMMAND``."""
        return self._run("rbd", *self._options, *command)

    def add_client(self, name: str, *caps: str) -> Path:
        """Make ``client.NAME`` with pairs of capabilities such as ``"osd", "profile rbd pool=images"``; its keyring."""
        path = self.folder / f"ceph.client.{name}.keyring"
        self._run("ceph", *self._options, "auth", "get-or-create", f"client.{name}", *caps, "-o", path)
        return path

    # the S3 gateway

    def start_gateway(self, address: str = "127.0.0.1") -> str:
        """Start the gateway; its URL."""
        port = free_port()
        self._start(
            "rgw", "radosgw", "-n", "client.admin", "--rgw-data", self.folder / "rgw",
            "--rgw-frontends", f"beast endpoint={address}:{port}",
        )  # fmt: skip
        self._wait("the gateway", lambda: _listens(address, port))
        return f"http://{address}:{port}"

    def add_account(self, name: str = "douane") -> S3Account:
        """A new user of the gateway."""
        key = json.loads(self.admin("user", "create", f"--uid={name}", f"--display-name={name}"))["keys"][0]
        return S3Account(key["access_key"], key["secret_key"])

    def admin(self, *command: str) -> str:
        """The output of ``radosgw-admin COMMAND``."""
        return self._run("radosgw-admin", *self._options, *command)

    # inside

    @property
    def _options(self) -> list[str]:
        return ["-c", str(self.conf)]

    def _run(self, *command: str | Path) -> str:
        ended = subprocess.run(
            list(map(str, command)),
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        if ended.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, command))}: {ended.stderr[-2000:]}")
        return ended.stdout

    def _start(self, name: str, *command: str | Path) -> None:
        with open(self.folder / f"{name}.log", "ab") as log:
            arguments = [*map(str, command), *self._options, "-f"]
            self._processes[name] = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _wait(self, what: str, is_ready: Any) -> None:
        deadline = time.monotonic() + SECONDS
        while True:
            with contextlib.suppress(RuntimeError):
                if is_ready():
                    return
            for name, process in self._processes.items():
                if process.poll() is not None:
                    words = (self.folder / f"{name}.log").read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"ceph's {name} ended with {process.returncode}: {words}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{what} does not come up in {self.folder}")
            time.sleep(0.2)


@contextmanager
def running_ceph(*pools: str) -> Iterator[Ceph]:
    """A cluster with these pools, which is gone afterwards."""
    # Not pytest's folder: the paths of the sockets are short (unix(7)).
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="douane-ceph-", dir=os.environ.get("TMPDIR", "/tmp")))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        cluster = Ceph(folder)
        stack.callback(cluster.close)
        cluster.start()
        for pool in pools:
            cluster.make_pool(pool)
        yield cluster


def free_port() -> int:
    """A TCP port of loopback that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def _listens(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), 5).close()
    except OSError:
        return False
    return True


# One machine, one copy, no second chance: what a test needs. The memory target is the least that an OSD accepts. The
# watch of a client that is gone ends after 5 seconds and not 30; an OSD that is started again waits 4 and not 16. The
# monitor gathers no proposals: a snapshot takes 0.1 seconds and not 0.5.
_CONF = """
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{port}]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
keyring = {folder}/keyring
run dir = {folder}/run
admin socket = {folder}/run/$name.asok
log file = {folder}/$name.log
log to stderr = false
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
mon data = {folder}/mon
mon allow pool size one = true
mon data avail crit = 1
mon data avail warn = 2
osd data = {folder}/osd
osd objectstore = bluestore
bluestore block size = {osd_bytes}
bluestore block create = true
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd memory target = 939524096
osd client watch timeout = 5
osd heartbeat grace = 5
paxos propose interval = 0.05
paxos min wait = 0.01
mon osd full ratio = 0.98
mon osd nearfull ratio = 0.97
"""
