"""`kill -9` of the engine at any instant of an import: the image is whole and active, or was never there.

`kill_at_random` is what tests call with few rounds; it raises nothing for what it finds, but lists it.
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
from .harness import MiB, Row, Settings, tell
from .processes import end_marked, gone_within, marked
from .stages import STAGES, Engine, Pace, listed, undisturbed
from .workspace import random_image

END_WITHIN_S = 10.0
NEW_HOME_EVERY = 4
ATTEMPTS_A_ROUND = 5
"""A kill that finds the engine gone proves nothing, so its round is done again; but not for ever."""

PLUGINS = ("Touch", "Cling")
BEFORE, UNDONE, FINISHED, ACTIVE = "before its task", "undone", "finished by the next start", "already active"


@dataclass
class Kills:
    """What `kill_at_random` saw: which kills found what, and every fault, as a sentence."""

    rounds: int = 0
    """Kills that met a living engine."""

    too_late: int = 0
    """Kills that did not; what such an import left is looked at all the same."""

    stages: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    longest_survival: float = 0.0
    """Seconds from the kill until the last process of the import was gone, at most."""

    def __str__(self) -> str:
        came = ", ".join(f"{self.found[what]} {what}" for what in (BEFORE, UNDONE, FINISHED, ACTIVE))
        when = ", ".join(f"{self.stages[stage]} after {stage}" for stage in STAGES)
        return (
            f"killed {when}; the image was found {came}; {self.too_late} more kills came too late; "
            f"no process lived on for more than {self.longest_survival * 1000:.0f} ms"
        )


def measure(settings: Settings) -> list[Row]:
    """One row: faults, of all rounds."""
    rounds = settings.rounds if settings.rounds is not None else settings.size(200, 8)
    directory = settings.directory / "kills"
    directory.mkdir()
    kills = kill_at_random(directory, rounds, settings.size(128, 16) * MiB, tier=settings.tier, seed=settings.seed)
    shutil.rmtree(directory)
    for fault in kills.faults:
        tell(f"  FAULT: {fault}")
    what = "kill -9 of the engine: images neither whole nor absent, or something left behind"
    against = "kills at random instants"
    return [Row(what, len(kills.faults), kills.rounds, against, "", most=0.0, timed=False, note=str(kills))]


def kill_at_random(
    directory: Path, rounds: int, image_bytes: int, *, tier: str | None = None, seed: int | None = None
) -> Kills:
    """Import an image under `directory` and kill the engine's process, until that was done `rounds` times.

    After each kill `douane images` is run on the same home, which sets right what is to be set right. A home is
    used for several rounds, so that what one kill leaves meets the next. Raises WrongOutcome if an import that
    nobody disturbs fails, or if the kills come too late again and again.
    """
    return _Killer(directory, image_bytes, tier, random.Random(seed)).run(rounds)


class _Killer:
    def __init__(self, directory: Path, image_bytes: int, tier: str | None, chance: random.Random) -> None:
        # Nothing else on this machine has this in its command line: the engine has it in the paths that it is
        # given, each process of a cage in the plugin's name.
        self.mark = f"kill-{uuid.uuid4().hex[:16]}"
        self.place = directory / self.mark
        self.place.mkdir()
        self.tier = tier
        self.chance = chance
        self.kills = Kills()
        self.image = random_image(self.place / "image", image_bytes)
        self.digest = _sha256(self.image)
        self.plan = driving.write_plan(self.place / "plan.toml", PLUGINS, ["sha256"], mark=f"-{self.mark}")
        self.home = self.place / "home"
        self.said = self.place / "said"
        self.known: dict[str, Any] = {}

    def run(self, rounds: int) -> Kills:
        pace = Pace([self._undisturbed() for _ in range(3)])
        tell(f"  an undisturbed import takes {pace}")
        for attempt in range(rounds * ATTEMPTS_A_ROUND):
            if self.kills.rounds == rounds:
                return self.kills
            if attempt % NEW_HOME_EVERY == 0:
                self._new_home()
            self._round(f"round-{attempt}", *pace.instant(self.chance))
            if attempt % 20 == 19:
                tell(f"  {self.kills.rounds} of {rounds}: {self.kills}")
        if self.kills.rounds < rounds:
            raise driving.WrongOutcome(f"most kills came too late, the machine's pace changes too much: {self.kills}")
        return self.kills

    def _new_home(self) -> None:
        driving.remove_home(self.home)
        self.known = {}

    def _start(self, name: str) -> Engine:
        options = ("--home", str(self.home), "--name", name)
        words = driving.command("import", self.image, self.plan, *options, tier=self.tier)
        return Engine(words, self.home, self.image.stat().st_size, self.said)

    def _undisturbed(self) -> list[float]:
        self._new_home()
        lengths = undisturbed(lambda: self._start("undisturbed"), self._see_cages)
        if len(listed(self.home / "store" / "images")) != 1:
            raise driving.WrongOutcome(f"an import that nobody disturbed failed: {self._output()}")
        return lengths

    def _see_cages(self) -> None:
        """Raises WrongOutcome if the plugins' processes cannot be told by the mark: they could live on unseen."""
        seen = marked(self.mark)
        if len(seen) < 1 + len(PLUGINS):
            raise driving.WrongOutcome(f"with {len(PLUGINS)} plugins at work, only these processes are seen: {seen}")

    def _round(self, name: str, stage: int, delay: float) -> None:
        with self._start(name) as engine:
            engine.reach(stage)
            engine.has_ended(delay)
            alive = engine.kill()
        killed = time.monotonic()
        where = f"{name}, killed {delay * 1000:.1f} ms after {STAGES[stage]}"
        left = gone_within(END_WITHIN_S, self.mark)
        self.kills.longest_survival = max(self.kills.longest_survival, time.monotonic() - killed)
        if left:
            self._fault(where, f"processes live on: {left}")
            end_marked(self.mark)
        found = self._look(name, where)
        if alive:
            self.kills.rounds += 1
            self.kills.stages[STAGES[stage]] += 1
            self.kills.found[found] += 1
        else:
            self.kills.too_late += 1
            if found != ACTIVE:
                self._fault(where, f"had ended by itself, its image is {found}: {self._output()}")

    def _look(self, name: str, where: str) -> str:
        """Let the next command set things right, compare all that is there; what became of the import."""
        done = self._douane("images", "--json")
        if done.returncode:
            self._fault(where, f"`douane images` ended with {done.returncode}: {done.stderr.decode():.500}")
            return UNDONE
        images = {image["id"]: image for image in json.loads(done.stdout)["images"]}
        new = [image for id_, image in images.items() if id_ not in self.known]
        for id_, before in self.known.items():
            if images.get(id_) != before:
                self._fault(where, f"an earlier image is not what it was: {before} became {images.get(id_)}")
        self.known = images
        for image in new:
            self._check_image(image, name, where)
        if len(new) > 1:
            self._fault(where, f"{len(new)} images came of one import")
        self._check_store(set(images), where)
        cleaned = b"interrupted" in done.stderr
        if new:
            return FINISHED if cleaned else ACTIVE
        return UNDONE if cleaned else BEFORE

    def _check_image(self, image: dict[str, Any], name: str, where: str) -> None:
        if image["status"] != "active" or image["name"] != name:
            self._fault(where, f"an image is {image['status']} under the name {image['name']}")
            return
        copy = self.place / "copy"
        copy.unlink(missing_ok=True)
        done = self._douane("save", image["id"], str(copy))
        if done.returncode:
            self._fault(where, f"`douane save` ended with {done.returncode}: {done.stderr.decode():.500}")
            return
        digest = _sha256(copy)
        if digest != self.digest or image["digests"].get("sha256") != digest or image["size"] != copy.stat().st_size:
            self._fault(where, f"the saved image has sha256 {digest}, not {self.digest}; the catalog says {image}")

    def _check_store(self, ids: set[str], where: str) -> None:
        staged = [path.name for path in listed(self.home / "store" / "staging")]
        stored = {path.name for path in listed(self.home / "store" / "images")}
        if staged:
            self._fault(where, f"left in staging: {staged}")
        if stored != ids:
            self._fault(where, f"the store has {sorted(stored)}, the catalog {sorted(ids)}")

    def _douane(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        command = [*driving.COMMAND, words[0], "--home", str(self.home), *words[1:]]
        return subprocess.run(command, capture_output=True, env=driving.environment(), check=False)

    def _output(self) -> str:
        return self.said.read_text(errors="replace")[:2000]

    def _fault(self, where: str, what: str) -> None:
        self.kills.faults.append(f"{where}: {what}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
