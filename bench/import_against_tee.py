"""An import with digests and four inspectors, against `tee` into two digest programs and a copy."""

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
    """Rows of seconds. All digests of both sides are compared, so that both do the same work."""
    directory = settings.directory
    image = random_image(directory / "image", settings.size(4 * GiB, 128 * MiB))
    digests = digests_of(image)
    plan = driving.make_plan(directory, ["Touch"] * INSPECTORS, ["md5", "sha512"])
    written = driving.write_plan(directory / "four.toml", ["Touch"] * INSPECTORS, ["md5", "sha512"])
    home, copy = directory / "home", directory / "copy"
    source, target = shlex.quote(str(image)), shlex.quote(str(copy))
    # Each digest program writes to the output of the shell, kept as 3, which `subprocess` reads until all have closed
    # it: bash's `wait` does not wait for all process substitutions.
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
        warm_up=settings.quick,  # the image has been read, and a start costs nothing compared with gigabytes
    )
    middle = medians(samples)
    longest = max(("md5sum", "sha512sum", "copy"), key=lambda name: middle[name])
    size = f"{image.stat().st_size // MiB} MiB"

    def row(what: str, ours: str, against: str, baseline: str, max_ratio: float | None = None, note: str = "") -> Row:
        row_samples = {name: samples[name] for name in (ours, against)}
        middles = middle[ours], middle[against]
        return Row(what, *middles, baseline, "s", max_ratio=max_ratio, note=note, samples=row_samples)

    return [
        row(f"import of {size}, md5, sha512, {INSPECTORS} inspectors", "import", "tee", "tee, copy not synced", 0.7),
        row("the same, both sides durable", "import", "tee, sync", "tee, then sync of the copy"),
        row("the whole command `douane import`", "command", "tee", "tee, copy not synced", 0.7),
        row("the whole command, both sides durable", "command", "tee, sync", "tee, then sync of the copy"),
        row("import, against the floor", "import", longest, f"the longest alone: {longest}"),
    ]


def digests_of(image: Path) -> dict[str, str]:
    """md5 and sha512 of a file, computed here for the comparison."""
    with image.open("rb") as file:
        digests = {"md5": hashlib.file_digest(file, "md5").hexdigest()}
        file.seek(0)
        return digests | {"sha512": hashlib.file_digest(file, "sha512").hexdigest()}


def _output(words: list[str]) -> str:
    process = subprocess.run(words, stdout=subprocess.PIPE, env=driving.environment(), check=True)
    return process.stdout.decode()


def _compare(actual: Mapping[str, object], digests: dict[str, str]) -> None:
    if any(actual.get(name) != value for name, value in digests.items()):
        raise driving.WrongOutcome(f"the digests of the import are {actual}, not {digests}")


def _check_sums(output: str, digests: set[str]) -> None:
    actual = {line.split()[0] for line in output.splitlines()}
    if actual != digests:
        raise driving.WrongOutcome(f"the digests of the programs are {actual}, not {digests}")
