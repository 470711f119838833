"""An upload of 1 GiB through a real Glance with Douane in it, against the same Glance without.

Beside it the same checks as an import plugin of today has them: it reads the staged file once for each.
"""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .driving import WrongOutcome
from .glance_servers import Measured, Used, Wanted, glances, missing
from .harness import GiB, MiB, Row, Settings, in_turn
from .workspace import random_image, settle

ROOT = Path(__file__).resolve().parents[1]
NEEDLES = ROOT / "examples" / "plugins" / "forbidden_text.py"
TEXT = "-----BEGIN OPENSSH PRIVATE KEY-----"
MOST = 1.15
"""Times what the same Glance takes without Douane."""

PLAN = """
[[plugin]]
name = "format"
use = "format"
config = {{ formats = ["raw"] }}

[[plugin]]
name = "checksum"
use = "checksum"
config = {{ expected = "{sha256}" }}

[[plugin]]
name = "limits"
use = "limits"
config = {{ max_size = "2GiB", max_virtual_size = "2GiB" }}

[[plugin]]
name = "needles"
use = "{needles}:ForbiddenText"
config = {{ texts = ["{text}"] }}
"""

FOUND = {"stock": (), "douane": ("format.disk_format", "checksum.digest"), "today": ("four_reads_sha256",)}
"""Properties of an image by which it is seen that it was inspected."""


def measure(settings: Settings) -> list[Row]:
    """Rows of seconds, of processor time and of bytes. Raises WrongOutcome if there is no Glance to be measured."""
    if (told := missing()) is not None:
        raise WrongOutcome(told)
    here = settings.directory / "glance"
    here.mkdir()
    image = random_image(settings.directory / "upload", settings.size(1 * GiB, 64 * MiB))
    rounds = settings.times(5)
    with glances(here, _wanted(here, image)) as running:
        stock, douane, agent, today = running
        runs = {
            "file, stock": lambda: _upload(stock, image, "file", "stock"),
            "file, Douane": lambda: _upload(douane, image, "file", "douane"),
            "file, agent": lambda: _upload(agent, image, "file", "douane"),
            "stage, stock": lambda: _upload(stock, image, "stage", "stock"),
            "stage, Douane": lambda: _upload(douane, image, "stage", "douane"),
            "stage, agent": lambda: _upload(agent, image, "stage", "douane"),
            "import, stock": lambda: _import(stock, image, "stock"),
            "import, Douane": lambda: _import(douane, image, "douane"),
            "import, agent": lambda: _import(agent, image, "douane"),
            "import, today": lambda: _import(today, image, "today"),
        }
        found = _in_turn(rounds, runs)
        for each in (douane, agent):
            # Twice inspected, it would be another thing that is measured.
            if "inspected now" in each.log() or "was inspected when it was staged" not in each.log():
                raise WrongOutcome(f"the import inspected the image again:\n{each.log()[-4000:]}")
    return _rows(found, f"{image.stat().st_size // MiB} MiB")


def _wanted(here: Path, image: Path) -> list[Wanted]:
    """Stock; with Douane in its worker; with Douane as an agent beside it; and with today's plugin."""
    from support.glance.glance_config import GlanceConfig
    from support.glance.site import with_douane

    with image.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    plan = here / "douane.toml"
    plan.write_text(PLAN.format(sha256=sha256, needles=NEEDLES, text=TEXT))
    told = here / "four-reads.json"
    told.write_text(json.dumps({"sha256": sha256, "text": TEXT, "most": 2 * GiB}))
    installed = here / "today" / "four_reads-1.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: four-reads\nVersion: 1\n")
    (installed / "entry_points.txt").write_text("[glance.image_import.plugins]\nfour-reads = four_reads:get_flow\n")
    today = GlanceConfig(
        import_plugins=("four-reads",),
        python_path=(here / "today", Path(__file__).parent / "glance_plugins"),
        environment={"FOUR_READS": str(told)},
    )
    return [
        Wanted(lambda _: GlanceConfig()),
        Wanted(lambda _: with_douane(here / "state", {"config": str(plan)})),
        Wanted(lambda socket: with_douane(here / "state-agent", {"agent": socket}), plan),
        Wanted(lambda _: today),
    ]


def _in_turn(rounds: int, runs: Mapping[str, Callable[[], Used]]) -> dict[str, list[Used]]:
    """As :func:`bench.harness.in_turn`, for samples that are more than a number; the first round does not count."""
    kept: dict[str, list[Used]] = {name: [] for name in runs}

    def keeping(name: str, run: Callable[[], Used]) -> Callable[[], float]:
        def once() -> float:
            kept[name].append(run())
            return kept[name][-1].seconds

        return once

    in_turn(rounds, {name: keeping(name, run) for name, run in runs.items()})
    return {name: used[1:] for name, used in kept.items()}


def _upload(glance: Measured, data: Path, door: str, found: str) -> Used:
    """PUT to this door: seconds until Glance has answered. The image is deleted."""
    image = glance.create()
    before = glance.used()
    seconds = glance.upload(image, door, data)
    return _ended(glance, image, seconds, before, found)


def _import(glance: Measured, data: Path, found: str) -> Used:
    """Stage and import: seconds of the two together."""
    image = glance.create()
    before = glance.used()
    seconds = glance.upload(image, "stage", data) + glance.run_import(image)
    return _ended(glance, image, seconds, before, found)


def _ended(glance: Measured, image: str, seconds: float, before: Used, found: str) -> Used:
    used = glance.used() - before
    shown = glance.shown(image)
    if any(name not in shown for name in FOUND[found]):
        raise WrongOutcome(f"the image was not inspected: {shown}")
    glance.delete(image)
    settle()
    return Used(seconds, used.cpu, used.written)


def _rows(found: Mapping[str, Sequence[Used]], size: str) -> list[Row]:
    def row(what: str, ours: str, against: str, told: str, unit: str = "seconds", most: float | None = None) -> Row:
        samples = {name: [getattr(each, unit) for each in found[name]] for name in (ours, against)}
        middle = {name: statistics.median(values) for name, values in samples.items()}
        if unit == "written":
            return Row(what, middle[ours] / MiB, middle[against] / MiB, told, "MiB", timed=False, samples=samples)
        shown = "s" if unit == "seconds" else "CPU s"
        return Row(what, middle[ours], middle[against], told, shown, most=most, samples=samples)

    rows = []
    for door in ("file", "stage"):
        what, stock = f"upload of {size} to Glance ({door}), 4 inspectors", (f"{door}, stock", "stock Glance")
        rows += [
            row(what, f"{door}, Douane", *stock, most=MOST),
            row("the same, by the agent", f"{door}, agent", *stock),
            row("the same, processor time", f"{door}, Douane", *stock, "cpu"),
            row("the same, by the agent, processor time", f"{door}, agent", *stock, "cpu"),
        ]
    stock, today = ("import, stock", "stock Glance"), ("import, today", "a plugin that reads four times")
    what = f"stage and import of {size}, 4 inspectors"
    rows += [row("stage and import, a plugin that reads four times", "import, today", *stock)]
    for against in (stock, today):
        rows += [row(what, "import, Douane", *against), row("the same, by the agent", "import, agent", *against)]
    rows += [
        row("the same, processor time", "import, Douane", *today, "cpu"),
        row("the same, by the agent, processor time", "import, agent", *today, "cpu"),
        row("the same, bytes written", "import, Douane", *today, "written"),
    ]
    return rows
