"""An upload of 1 GiB through a real Glance with Douane, against the same Glance without.

For comparison, the same checks in an import plugin as written today, which reads the staged file once for each check.
"""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .driving import WrongOutcome
from .glance_servers import MeasuredGlance, Setup, Usage, glances, missing_environments
from .harness import GiB, MiB, Row, Settings, in_turn
from .workspace import random_image, settle

ROOT = Path(__file__).resolve().parents[1]
NEEDLES = ROOT / "examples" / "plugins" / "forbidden_text.py"
TEXT = "-----BEGIN OPENSSH PRIVATE KEY-----"
MAX_RATIO = 1.15
"""The bound: times the seconds of the same Glance without Douane."""

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

PROOFS = {"stock": (), "douane": ("format.disk_format", "checksum.digest"), "today": ("four_reads_sha256",)}
"""Properties that prove the inspection of an image."""


def measure(settings: Settings) -> list[Row]:
    """Rows of seconds, processor time and bytes. Raises WrongOutcome if there is no Glance to measure."""
    if (missing := missing_environments()) is not None:
        raise WrongOutcome(missing)
    folder = settings.directory / "glance"
    folder.mkdir()
    image = random_image(settings.directory / "upload", settings.size(1 * GiB, 64 * MiB))
    rounds = settings.times(5)
    with glances(folder, _setups(folder, image)) as running:
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
        usages = _in_turn(rounds, runs)
        for glance in (douane, agent):
            # a second inspection would be measured as well
            if "inspected now" in glance.log() or "was inspected when it was staged" not in glance.log():
                raise WrongOutcome(f"the import inspected the image again:\n{glance.log()[-4000:]}")
    return _rows(usages, f"{image.stat().st_size // MiB} MiB")


def _setups(folder: Path, image: Path) -> list[Setup]:
    """Stock Glance; with Douane in its worker; with Douane as an agent; with a plugin as written today."""
    from support.glance.glance_config import GlanceConfig
    from support.glance.site import with_douane

    with image.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    plan = folder / "douane.toml"
    plan.write_text(PLAN.format(sha256=sha256, needles=NEEDLES, text=TEXT))
    settings_file = folder / "four-reads.json"
    settings_file.write_text(json.dumps({"sha256": sha256, "text": TEXT, "most": 2 * GiB}))
    installed = folder / "today" / "four_reads-1.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: four-reads\nVersion: 1\n")
    (installed / "entry_points.txt").write_text("[glance.image_import.plugins]\nfour-reads = four_reads:get_flow\n")
    today = GlanceConfig(
        import_plugins=("four-reads",),
        python_path=(folder / "today", Path(__file__).parent / "glance_plugins"),
        environment={"FOUR_READS": str(settings_file)},
    )
    return [
        Setup(lambda _: GlanceConfig()),
        Setup(lambda _: with_douane(folder / "state", {"config": str(plan)})),
        Setup(lambda socket: with_douane(folder / "state-agent", {"agent": socket}), plan),
        Setup(lambda _: today),
    ]


def _in_turn(rounds: int, runs: Mapping[str, Callable[[], Usage]]) -> dict[str, list[Usage]]:
    """As :func:`bench.harness.in_turn`, for samples of several numbers; the first round does not count."""
    usages: dict[str, list[Usage]] = {name: [] for name in runs}

    def keeping(name: str, run: Callable[[], Usage]) -> Callable[[], float]:
        def once() -> float:
            usages[name].append(run())
            return usages[name][-1].seconds

        return once

    in_turn(rounds, {name: keeping(name, run) for name, run in runs.items()})
    return {name: usage[1:] for name, usage in usages.items()}


def _upload(glance: MeasuredGlance, data: Path, door: str, proof: str) -> Usage:
    """PUT to `door`, with the seconds until the answer of Glance. The image is deleted."""
    image = glance.create()
    usage_before = glance.usage()
    seconds = glance.upload(image, door, data)
    return _ended(glance, image, seconds, usage_before, proof)


def _import(glance: MeasuredGlance, data: Path, proof: str) -> Usage:
    """Stage and import, with the seconds of both."""
    image = glance.create()
    usage_before = glance.usage()
    seconds = glance.upload(image, "stage", data) + glance.run_import(image)
    return _ended(glance, image, seconds, usage_before, proof)


def _ended(glance: MeasuredGlance, image: str, seconds: float, usage_before: Usage, proof: str) -> Usage:
    total = glance.usage() - usage_before
    properties = glance.image_properties(image)
    if any(name not in properties for name in PROOFS[proof]):
        raise WrongOutcome(f"the image was not inspected: {properties}")
    glance.delete(image)
    settle()
    return Usage(seconds, total.cpu, total.written)


def _rows(usages: Mapping[str, Sequence[Usage]], size: str) -> list[Row]:
    def row(
        what: str, ours: str, against: str, baseline: str, unit: str = "seconds", max_ratio: float | None = None
    ) -> Row:
        samples = {name: [getattr(usage, unit) for usage in usages[name]] for name in (ours, against)}
        middle = {name: statistics.median(values) for name, values in samples.items()}
        if unit == "written":
            return Row(what, middle[ours] / MiB, middle[against] / MiB, baseline, "MiB", timed=False, samples=samples)
        shown_unit = "s" if unit == "seconds" else "CPU s"
        return Row(what, middle[ours], middle[against], baseline, shown_unit, max_ratio=max_ratio, samples=samples)

    rows = []
    for door in ("file", "stage"):
        what, stock = f"upload of {size} to Glance ({door}), 4 inspectors", (f"{door}, stock", "stock Glance")
        rows += [
            row(what, f"{door}, Douane", *stock, max_ratio=MAX_RATIO),
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
