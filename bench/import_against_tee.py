"""An import with digests and four inspectors, against `tee` that feeds two digest programs and a copy."""

from __future__ import annotations

import hashlib
import json
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

from . import driving
from .harness import GiB, MiB, Row, Settings, in_turn, medians, timed
from .workspace import random_image, settle

INSPECTORS = 4


def measure(settings: Settings) -> list[Row]:
    """Rows of seconds. Every digest of every side is compared, so that nobody is fast by doing less."""
    here = settings.directory
    image = random_image(here / "image", settings.size(4 * GiB, 128 * MiB))
    digests = digests_of(image)
    plan = driving.make_plan(here, ["Touch"] * INSPECTORS, ["md5", "sha512"])
    written = driving.write_plan(here / "four.toml", ["Touch"] * INSPECTORS, ["md5", "sha512"])
    home, copy = here / "home", here / "copy"
    source, target = shlex.quote(str(image)), shlex.quote(str(copy))
    # Each digest's output goes to the shell's own, kept as 3: `subprocess` reads it to its end, which comes when
    # the last of them has closed it. That is the waiting; bash's `wait` does not wait for all of these.
    tee = f"exec 3>&1; tee >(md5sum >&3) >(sha512sum >&3) > {target} < {source}"

    def ours() -> float:
        seconds = timed(lambda: _compare(driving.store(plan, image, home, settings.tier).received.digests(), digests))
        driving.remove_home(home)
        settle()
        return seconds

    def whole_command() -> float:
        words = driving.command("import", image, written, "--home", str(home), tier=settings.tier)
        seconds = timed(lambda: _compare(json.loads(_output(words))["received"], digests))
        driving.remove_home(home)
        settle()
        return seconds

    def shell(script: str, *sums: str) -> float:
        seconds = timed(lambda: _check_sums(_output(["bash", "-c", script]), {digests[name] for name in sums}))
        copy.unlink(missing_ok=True)
        settle()
        return seconds

    samples = in_turn(
        settings.times(3),
        {
            "import": ours,
            "tee": lambda: shell(tee, "md5", "sha512"),
            "command": whole_command,
            "tee, sync": lambda: shell(f"{tee}; exec 3>&-; sync {target}", "md5", "sha512"),
            "md5sum": lambda: shell(f"md5sum < {source}", "md5"),
            "sha512sum": lambda: shell(f"sha512sum < {source}", "sha512"),
            "copy": lambda: shell(f"cp --sparse=never --reflink=never {source} {target}"),
        },
        warm_up=settings.quick,  # the image has been read, and a start weighs nothing against gigabytes
    )
    middle = medians(samples)
    longest = max(("md5sum", "sha512sum", "copy"), key=lambda name: middle[name])
    size = f"{image.stat().st_size // MiB} MiB"

    def row(what: str, ours: str, against: str, told: str, most: float | None = None, note: str = "") -> Row:
        kept = {name: samples[name] for name in (ours, against)}
        return Row(what, middle[ours], middle[against], told, "s", most=most, note=note, samples=kept)

    return [
        row(f"import of {size}, md5, sha512, {INSPECTORS} inspectors", "import", "tee", "tee, copy not synced", 0.7),
        row("the same, both sides durable", "import", "tee, sync", "tee, then sync of the copy"),
        row("the whole command `douane import`", "command", "tee", "tee, copy not synced", 0.7),
        row("the whole command, both sides durable", "command", "tee, sync", "tee, then sync of the copy"),
        row("import, against the floor", "import", longest, f"the longest alone: {longest}"),
    ]


def digests_of(image: Path) -> dict[str, str]:
    """md5 and sha512 of a file, by the library, for the comparison with what the measured ones found."""
    with image.open("rb") as file:
        found = {"md5": hashlib.file_digest(file, "md5").hexdigest()}
        file.seek(0)
        return found | {"sha512": hashlib.file_digest(file, "sha512").hexdigest()}


def _output(words: list[str]) -> str:
    done = subprocess.run(words, stdout=subprocess.PIPE, env=driving.environment(), check=True)
    return done.stdout.decode()


def _compare(found: Mapping[str, object], digests: dict[str, str]) -> None:
    if any(found.get(name) != value for name, value in digests.items()):
        raise driving.WrongOutcome(f"the digests of the import are {found}, not {digests}")


def _check_sums(output: str, digests: set[str]) -> None:
    found = {line.split()[0] for line in output.splitlines()}
    if found != digests:
        raise driving.WrongOutcome(f"the digests of the programs are {found}, not {digests}")
