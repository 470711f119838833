"""The inspectors of a site: an import through all of them, against one through `format` alone, and against clamd.

The inspectors have `mode = "warn"`: all of them look at the whole image, and the system of this machine, of which the
disk is made, is let in. An inspector that this version does not have is left out, with a message.
"""

from __future__ import annotations

import json
import random
import re
import resource
import subprocess
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from douane.plan.builtin import BUILT_IN

from . import driving, guest_disks, site_clamd
from .guest_view import BYTES, BYTES_QUICK, FILES, FILES_QUICK
from .harness import Row, Settings, in_turn, medians, progress

WALL_RATIO = 1.5
CPU_SECONDS = 15.0
CLAMD_RATIO = 1.15
RULES = 200
ADVISORIES = 50_000
OWN = 10
"""Advisories for each package of the system."""

CRITICAL = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
CLAMAV = "clamav"


class Setup(NamedTuple):
    """Keys of TOML for a plugin."""

    config: str = ""
    grants: Mapping[str, str] = {}


def _yara(folder: Path) -> Setup:
    """Rules with a text, a pattern of bytes and a regular expression each, which match nothing."""
    source = random.Random(1)
    rules = []
    for number in range(RULES):
        text, data = (source.randbytes(12).hex() for _ in range(2))
        strings = f'$a = "{text}" $b = {{ {data[:16]} ?? {data[16:]} }} $c = /{text[:8]}[0-9]{{4,12}}x/'
        rules.append(f"rule r{number} {{ strings: {strings} condition: any of them }}")
    (folder / "rules.yar").write_text("\n".join(rules))
    return Setup(grants={"rules": f"file:{folder}/rules.yar"})


def _packages(folder: Path) -> Setup:
    """A database with advisories for other packages, and some for each of the system: repaired, but for every tenth."""
    names = re.findall(r"^Package: (.+)$", (folder / "tree" / "var/lib/dpkg/status").read_text(), re.MULTILINE)
    source = random.Random(2)
    release = re.search(r'^VERSION_ID="?([0-9.]+)', (folder / "tree" / "etc/os-release").read_text(), re.MULTILINE)
    ecosystem = f"Debian:{release[1] if release else 12}"
    with zipfile.ZipFile(folder / "osv.zip", "w") as archive:
        for number in range(ADVISORIES):
            name = names[number % len(names)] if number < OWN * len(names) else source.randbytes(6).hex()
            events = [{"introduced": "0"}, {"fixed": "9999" if number % 10 == 0 else "0.0.1"}]
            ranges = [{"type": "ECOSYSTEM", "events": events}]
            record = {
                "id": f"DEBIAN-CVE-2026-{number}",
                "modified": "2026-11-29T12:00:00Z",
                "severity": [{"type": "CVSS_V3", "score": CRITICAL}],
                "affected": [{"package": {"ecosystem": ecosystem, "name": name}, "ranges": ranges}],
            }
            archive.writestr(f"{number}.json", json.dumps(record))
    words = [*driving.COMMAND, "cve", "build", "--output", str(folder / "cve.sqlite"), str(folder / "osv.zip")]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    config = 'max_age = 0, uncovered = "allow", unread = "warn"'
    return Setup(config, {"cve": f"file:{folder}/cve.sqlite"})


INSPECTORS: dict[str, Callable[[Path], Setup]] = {
    "baseline": lambda _: Setup(),
    "packages": _packages,
    "secrets": lambda _: Setup(),
    "yara": _yara,
}
"""What they are given, by name, in the order of the plan."""


class Cost(NamedTuple):
    """Seconds of a command."""

    wall: float
    cpu: float


def measure(settings: Settings) -> list[Row]:
    """All rows."""
    sizes = (FILES_QUICK, BYTES_QUICK) if settings.quick else (FILES, BYTES)
    tree = guest_disks.Tree(settings.directory / "tree", *sizes)
    image = guest_disks.disk(tree, "ext4")
    what = f"import of a qcow2 of 10 GiB with {tree.files} files"
    tables = {"format": _table("format", Setup())}
    for name, make in INSPECTORS.items():
        if name in BUILT_IN:
            tables[name] = _table(name, make(settings.directory))
        else:
            progress(f"  {name} is not in this version: left out")
    runs = {name: [tables["format"], tables[name]] for name in tables}
    runs["all"] = list(tables.values())
    costs: dict[str, list[Cost]] = {name: [] for name in runs}
    samples = in_turn(
        settings.times(3),
        {name: partial(_run, settings, image, lines, costs[name]) for name, lines in runs.items()},
        warm_up=not settings.quick,
    )
    rows = _rows(what, samples, {name: [cost.cpu for cost in listed] for name, listed in costs.items()})
    with site_clamd.clamd() as server:
        if server is None or CLAMAV not in BUILT_IN:
            progress("  clamav is left out: there is no clamd")
            return rows
        return [*rows, _against_clamd(settings, what, tree, image, list(tables.values()), server)]


def _rows(what: str, samples: Mapping[str, list[float]], cpu: Mapping[str, list[float]]) -> list[Row]:
    walls, seconds = medians(samples), medians(cpu)
    names = ", ".join(name for name in samples if name not in ("format", "all"))
    rows = [
        Row(f"{what}: {name}", walls[name], walls["format"], "format alone", "s", samples=samples)
        for name in samples
        if name not in ("format", "all")
    ]
    note = f"of {names}"
    rows.append(
        Row(f"{what}: all", walls["all"], walls["format"], "format alone", "s", WALL_RATIO, note=note, samples=samples)
    )
    rows.append(
        Row(
            f"{what}: all, processor",
            seconds["all"],
            CPU_SECONDS,
            "the bound",
            "CPU s",
            max_ratio=1.0,
            note=f"format alone: {seconds['format']:.1f} CPU s",
            samples=cpu,
        )
    )
    return rows


def _against_clamd(
    settings: Settings, what: str, tree: guest_disks.Tree, image: Path, tables: Sequence[str], server: Path
) -> Row:
    grants = {"clamd": f"unix:{server}/clamd.ctl", "conf": f"file:{server}/clamd.conf"}
    lines = [*tables, _table(CLAMAV, Setup("max_database_age = 0", grants))]
    own = partial(site_clamd.scan, server, tree.folder)
    samples = in_turn(
        settings.times(3),
        {"ours": partial(_run, settings, image, lines, []), "clamd": lambda: _seconds(own)},
        warm_up=not settings.quick,
    )
    middle = medians(samples)
    return Row(
        f"{what}: all and clamav",
        middle["ours"],
        middle["clamd"],
        "clamd alone, MULTISCAN of the files",
        "s",
        max_ratio=CLAMD_RATIO,
        samples=samples,
    )


def _seconds(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _table(name: str, setup: Setup) -> str:
    lines = ["[[plugin]]", f'name = "{name}"', f'use = "{name}"', 'timeout = "1h"']
    if name != "format":
        lines.append('mode = "warn"')
    if setup.config:
        lines.append(f"config = {{ {setup.config} }}")
    if setup.grants:
        pairs = ", ".join(f'{key} = "{value}"' for key, value in setup.grants.items())
        lines.append(f"grants = {{ {pairs} }}")
    return "\n".join(lines) + "\n"


def _run(settings: Settings, image: Path, tables: Sequence[str], costs: list[Cost]) -> float:
    """Import the image with the command; return its seconds, and add what it took to `costs`. Raises WrongOutcome."""
    plan, home = settings.directory / "site.toml", settings.directory / "home"
    guest = '[guest]\ntimeout = "1h"\nstall = "10m"\n'
    plan.write_text('[import]\ndigests = ["sha256"]\n\n' + guest + "\n" + "\n".join(dict.fromkeys(tables)))
    words = driving.command("import", image, plan, tier=settings.tier)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    result = subprocess.run(
        words, env=driving.environment() | {"DOUANE_HOME": str(home)}, capture_output=True, text=True, check=False
    )
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    driving.remove_home(home)
    _check(result)
    costs.append(Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
    return wall


def _check(result: subprocess.CompletedProcess[str]) -> None:
    """Each plugin has looked: it has accepted, or found something. Raises WrongOutcome."""
    if result.returncode:
        raise driving.WrongOutcome(f"the import ended with {result.returncode}: {result.stderr:.2000}")
    for plugin in json.loads(result.stdout)["verdicts"]:
        if plugin["outcome"] not in ("accepted", "refused"):
            words = (plugin["plugin"], plugin["outcome"], plugin["code"], plugin["message"], plugin["detail"])
            raise driving.WrongOutcome(" ".join(str(word) for word in words))
