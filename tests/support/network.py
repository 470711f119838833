"""Hosts on one machine: a network namespace each, on one bridge, which is in a namespace of its own. Needs root.

Nothing of the machine's own network is changed. What is started in a block of :meth:`Host.inside` is a process of that
host.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

_CLONE_NEWNET = 0x40000000
_PREFIX = "10.99.0"
_libc = ctypes.CDLL(None, use_errno=True)


class Host:
    """A namespace with an address."""

    def __init__(self, namespace: str, name: str, address: str) -> None:
        self.namespace = namespace
        self.name = name
        self.address = address

    @contextmanager
    def inside(self) -> Iterator[None]:
        """The sockets that this thread makes, and the processes that it starts, are this host's (setns(2))."""
        with ExitStack() as stack:
            own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
            stack.callback(os.close, own)
            namespace = os.open(f"/run/netns/{self.namespace}", os.O_RDONLY)
            stack.callback(os.close, namespace)
            _enter(namespace)
            stack.callback(_enter, own)
            yield

    def cut(self, *other_hosts: Host) -> None:
        """Lose all packets to and from `other_hosts`, without a word to anybody."""
        for rule in self._rules(other_hosts):
            self._iptables("-A", *rule)

    def mend(self, *other_hosts: Host) -> None:
        """The line is there again."""
        for rule in self._rules(other_hosts):
            self._iptables("-D", *rule)

    def _rules(self, other_hosts: Sequence[Host]) -> Iterator[tuple[str, ...]]:
        for host in other_hosts:
            yield "OUTPUT", "-d", host.address, "-j", "DROP"
            yield "INPUT", "-s", host.address, "-j", "DROP"

    def _iptables(self, *words: str) -> None:
        _run("ip", "netns", "exec", self.namespace, "iptables", "-w", *words)


@contextmanager
def hosts(*names: str) -> Iterator[dict[str, Host]]:
    """These hosts, each of which reaches the others; removed afterwards."""
    prefix = f"douane-{os.getpid()}"
    with ExitStack() as stack:
        bridge = _namespace(stack, f"{prefix}-bridge")
        _run("ip", "-n", bridge, "link", "add", "bridge", "type", "bridge")
        _run("ip", "-n", bridge, "link", "set", "bridge", "up")
        network = {}
        for number, name in enumerate(names, 1):
            host = Host(_namespace(stack, f"{prefix}-{name}"), name, f"{_PREFIX}.{number}")
            line = f"line{number}"
            _run(
                *("ip", "-n", bridge, "link", "add", line, "type", "veth"),
                *("peer", "name", "eth0", "netns", host.namespace),
            )
            _run("ip", "-n", bridge, "link", "set", line, "master", "bridge", "up")
            _run("ip", "-n", host.namespace, "addr", "add", f"{host.address}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                _run("ip", "-n", host.namespace, "link", "set", device, "up")
            network[name] = host
        yield network


def _namespace(stack: ExitStack, name: str) -> str:
    _run("ip", "netns", "add", name)
    stack.callback(_run, "ip", "netns", "del", name)
    return name


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


def _run(*words: str) -> None:
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    if ended.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {ended.stderr.strip()}")
