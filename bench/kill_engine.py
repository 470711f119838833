"""`kill -9` of the engine at any instant of an import: the image is complete and active, or does not exist.

Tests call `kill_at_random` with few rounds; it lists faults instead of raising them.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import subprocess
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import driving
from .harness import MiB, Row, Settings, progress
from .processes import adopt_orphans, descendants, end_descendants, gone_within
from .stages import STAGES, Engine, Pace, listed, undisturbed
from .workspace import random_image

END_WITHIN_S = 10.0
NEW_HOME_EVERY = 4
ATTEMPTS_A_ROUND = 5
"""A kill after the end of the engine proves nothing, so that its round is repeated, up to a limit."""

PLUGINS = ("Touch", "Cling")
NOT_STARTED, UNDONE, FINISHED, ACTIVE = "before its task", "undone", "finished by the next start", "already active"


@dataclass
class Kills:
    """The results of `kill_at_random`: outcomes of the kills, and a sentence for every fault."""

    rounds: int = 0
    """Kills of a running engine."""

    too_late: int = 0
    """Kills after the end of the engine; the result of the import is checked all the same."""

    stages: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    longest_survival: float = 0.0
    """The longest time in seconds from a kill until the last process of the import was gone."""

    def __str__(self) -> str:
        results = ", ".join(f"{self.outcomes[what]} {what}" for what in (NOT_STARTED, UNDONE, FINISHED, ACTIVE))
        when = ", ".join(f"{self.stages[stage]} after {stage}" for stage in STAGES)
        return (
            f"killed {when}; the images were {results}; {self.too_late} more kills came too late; "
            f"no process survived for more than {self.longest_survival * 1000:.0f} ms"
        )


def measure(settings: Settings) -> list[Row]:
    """One row: the faults of all rounds."""
    rounds = settings.rounds if settings.rounds is not None else settings.size(200, 8)
    directory = settings.directory / "kills"
    directory.mkdir()
    kills = kill_at_random(directory, rounds, settings.size(128, 16) * MiB, tier=settings.tier, seed=settings.seed)
    shutil.rmtree(directory)
    for fault in kills.faults:
        progress(f"  FAULT: {fault}")
    what = "kill -9 of the engine: images neither complete nor absent, or remains"
    against = "kills at random instants"
    return [Row(what, len(kills.faults), kills.rounds, against, "", max_ratio=0.0, timed=False, note=str(kills))]


def kill_at_random(
    directory: Path, rounds: int, image_bytes: int, *, tier: str | None = None, seed: int | None = None
) -> Kills:
    """Import an image under `directory` and kill the process of the engine, `rounds` times.

    After each kill `douane images` runs on the same home and repairs it. A home is used for several rounds, so that
    the remains of one kill meet the next import. Raises WrongOutcome if an undisturbed import fails, or if most kills
    come too late.
    """
    return _Killer(directory, image_bytes, tier, random.Random(seed)).run(rounds)


class _Killer:
    def __init__(self, directory: Path, image_bytes: int, tier: str | None, chance: random.Random) -> None:
        self.place = directory / f"kill-{uuid.uuid4().hex[:16]}"
        self.place.mkdir()
        self.tier = tier
        self.chance = chance
        self.kills = Kills()
        self.image = random_image(self.place / "image", image_bytes)
        self.digest = _sha256(self.image)
        self.plan = driving.write_plan(self.place / "plan.toml", PLUGINS, ["sha256"])
        self.home = self.place / "home"
        self.output = self.place / "said"
        self.catalog: dict[str, Any] = {}

    def run(self, rounds: int) -> Kills:
        adopt_orphans()  # so that the sandboxed processes of a killed engine are descendants of this process
        pace = Pace([self._undisturbed() for _ in range(3)])
        progress(f"  an undisturbed import takes {pace}")
        for attempt in range(rounds * ATTEMPTS_A_ROUND):
            if self.kills.rounds == rounds:
                return self.kills
            if attempt % NEW_HOME_EVERY == 0:
                self._new_home()
            self._round(f"round-{attempt}", *pace.instant(self.chance))
            if attempt % 20 == 19:
                progress(f"  {self.kills.rounds} of {rounds}: {self.kills}")
        if self.kills.rounds < rounds:
            raise driving.WrongOutcome(f"most kills came too late, as the speed of the machine varies: {self.kills}")
        return self.kills

    def _new_home(self) -> None:
        driving.remove_home(self.home)
        self.catalog = {}

    def _start(self, name: str) -> Engine:
        options = ("--home", str(self.home), "--name", name)
        words = driving.command("import", self.image, self.plan, *options, tier=self.tier)
        return Engine(words, self.home, self.image.stat().st_size, self.output)

    def _undisturbed(self) -> list[float]:
        self._new_home()
        lengths = undisturbed(lambda: self._start("undisturbed"), self._see_cages)
        if len(listed(self.home / "store" / "images")) != 1:
            raise driving.WrongOutcome(f"an undisturbed import failed: {self._output()}")
        return lengths

    def _see_cages(self) -> None:
        """Raise WrongOutcome if not all plugin processes are descendants: these could survive unseen."""
        processes = descendants()
        if len(processes) < 1 + len(PLUGINS):
            raise driving.WrongOutcome(f"only these processes of {len(PLUGINS)} plugins are descendants: {processes}")

    def _round(self, name: str, stage: int, delay: float) -> None:
        with self._start(name) as engine:
            engine.reach(stage)
            engine.has_ended(delay)
            alive = engine.kill()
        killed = time.monotonic()
        where = f"{name}, killed {delay * 1000:.1f} ms after {STAGES[stage]}"
        survivors = gone_within(END_WITHIN_S)
        self.kills.longest_survival = max(self.kills.longest_survival, time.monotonic() - killed)
        if survivors:
            self._fault(where, f"processes survive: {survivors}")
            end_descendants()
        outcome = self._check_home(name, where)
        if alive:
            self.kills.rounds += 1
            self.kills.stages[STAGES[stage]] += 1
            self.kills.outcomes[outcome] += 1
        else:
            self.kills.too_late += 1
            if outcome != ACTIVE:
                self._fault(where, f"it had ended by itself, but its image is {outcome}: {self._output()}")

    def _check_home(self, name: str, where: str) -> str:
        """Run a command that repairs the home, check all images, and return the outcome of the import."""
        process = self._douane("images", "--json")
        if process.returncode:
            self._fault(where, f"`douane images` ended with {process.returncode}: {process.stderr.decode():.500}")
            return UNDONE
        images = {image["id"]: image for image in json.loads(process.stdout)["images"]}
        new = [image for id_, image in images.items() if id_ not in self.catalog]
        for id_, earlier in self.catalog.items():
            if images.get(id_) != earlier:
                self._fault(where, f"an earlier image has changed: {earlier} became {images.get(id_)}")
        self.catalog = images
        for image in new:
            self._check_image(image, name, where)
        if len(new) > 1:
            self._fault(where, f"one import made {len(new)} images")
        self._check_store(set(images), where)
        cleaned = b"interrupted" in process.stderr
        if new:
            return FINISHED if cleaned else ACTIVE
        return UNDONE if cleaned else NOT_STARTED

    def _check_image(self, image: dict[str, Any], name: str, where: str) -> None:
        if image["status"] != "active" or image["name"] != name:
            self._fault(where, f"an image is {image['status']} under the name {image['name']}")
            return
        copy = self.place / "copy"
        copy.unlink(missing_ok=True)
        process = self._douane("save", image["id"], str(copy))
        if process.returncode:
            self._fault(where, f"`douane save` ended with {process.returncode}: {process.stderr.decode():.500}")
            return
        digest = _sha256(copy)
        if digest != self.digest or image["digests"].get("sha256") != digest or image["size"] != copy.stat().st_size:
            self._fault(where, f"the saved image has sha256 {digest}, not {self.digest}; the catalog says {image}")

    def _check_store(self, ids: set[str], where: str) -> None:
        staged = [path.name for path in listed(self.home / "store" / "staging")]
        stored = {path.name for path in listed(self.home / "store" / "images")}
        if staged:
            self._fault(where, f"staging still holds {staged}")
        if stored != ids:
            self._fault(where, f"the store has {sorted(stored)}, the catalog {sorted(ids)}")

    def _douane(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        command = [*driving.COMMAND, words[0], "--home", str(self.home), *words[1:]]
        return subprocess.run(command, capture_output=True, env=driving.environment(), check=False)

    def _output(self) -> str:
        return self.output.read_text(errors="replace")[:2000]

    def _fault(self, where: str, what: str) -> None:
        self.kills.faults.append(f"{where}: {what}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
