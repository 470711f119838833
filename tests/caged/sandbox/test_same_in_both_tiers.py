"""A plugin that works in one tier works in the other: the differences are those that docs/sandbox.md lists."""

from __future__ import annotations

import json
from pathlib import Path

from douane import sandbox
from support.sandbox.process import Cell
from support.sandbox.public_python import run_as_ordinary_user

LOOKED_FOR = (
    *("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/fd/0"),
    *("/etc/os-release", "/etc/mime.types", "/etc/ssl/certs/ca-certificates.crt"),
    *("/usr/share/zoneinfo/Europe/Berlin", "/usr/share/zoneinfo/No/Where", "/usr/lib/locale/C.utf8/LC_CTYPE"),
    *("/proc/self/cgroup", "/proc/self/maps", "/proc/self/stat", "/proc/self/statm", "/proc/self/status"),
    *("/no/such/file", "/etc/no-such-file", "/usr/share/no-such-file", "/proc/self/no-such-file"),
)
"""Files that libraries look for, some of which no system has."""

HIDDEN = (
    *("/etc/hostname", "/etc/shadow", "/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/var/lib/dpkg/status"),
    *("/dev/tty", "/dev/full", "/dev/ptmx", "/proc/cpuinfo", "/proc/meminfo", "/proc/self/mountinfo", "/proc/self/mem"),
    *("/proc/self/net/unix", "/proc/1/status", "/sys/fs/cgroup/cgroup.controllers"),
)
"""Files of the host that no plugin sees."""

DIFFERENCES = {
    "account": ("KeyError", "ok"),  # /etc/passwd is the host's in `strict`
    "open /etc/passwd": ("EACCES", "ok"),
    "open /etc/group": ("EACCES", "ok"),
    "open /etc/magic": ("ok", "ENOENT"),
    "open /etc/ssl/openssl.cnf": ("ok", "ENOENT"),
    "write to the root": ("EACCES", "EROFS"),
    "write to a library": ("EACCES", "EROFS"),
    "signal a stranger": ("EPERM", "ESRCH"),
}
"""Attempt: (in strict, in full)."""


def outcomes(tier: sandbox.Tier, paths: list[str]) -> dict[str, str]:
    with Cell(tier) as cell:
        answers: dict[str, str] = cell.returned("outcomes.outcomes", paths)
        return answers


def test_both_tiers_give_the_same_answers() -> None:
    paths = [*LOOKED_FOR, "/etc/passwd", "/etc/group", "/etc/localtime", "/etc/magic", "/etc/ssl/openssl.cnf"]
    strict, full = (outcomes(tier, paths) for tier in (sandbox.Tier.STRICT, sandbox.Tier.FULL))
    assert strict.keys() == full.keys()
    different = {name: (strict[name], full[name]) for name in strict if strict[name] != full[name]}
    assert different.items() <= DIFFERENCES.items()
    own = [name for name in strict if name.startswith("open /proc/self/") and not name.endswith("no-such-file")]
    assert {name: strict[name] for name in own} == dict.fromkeys(own, "ok")
    assert strict["make a file"] == strict["rename a file"] == strict["change a mode"] == "ok"


def test_a_hidden_file_is_refused_in_strict_and_missing_in_full() -> None:
    """Landlock can refuse to open a file, and cannot make it disappear."""
    present = [path for path in HIDDEN if Path(path).exists()]
    assert len(present) > 5
    strict, full = (outcomes(tier, present) for tier in (sandbox.Tier.STRICT, sandbox.Tier.FULL))
    for path in present:
        assert strict[f"open {path}"] in ("EACCES", "ENXIO"), path
        expected = ("EACCES",) if path.startswith("/proc/") else ("ENOENT",)
        assert full[f"open {path}"] in expected, path


def test_an_ordinary_user_makes_the_same_sandbox(tier: sandbox.Tier) -> None:
    mine = outcomes(tier, list(LOOKED_FOR))
    completed = run_as_ordinary_user("support.sandbox.outcomes_of", tier.value, *LOOKED_FOR)
    theirs = json.loads(completed.stdout or "{}")
    assert theirs, completed.stderr
    answers = theirs["outcomes"]
    assert {name: (mine[name], answers[name]) for name in mine if mine[name] != answers[name]} == {}
    assert theirs["uses"] == {}
