"""The program as a user runs it: a process of its own, with a home and a TMPDIR of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .processes import SECONDS, become_subreaper, children, wait_until_gone

CAGED = Path(__file__).parents[1] / "caged"
PLUGINS = CAGED / "cli" / "plugins"
ENGINE_PLUGINS = CAGED / "engine" / "plugins"

MIB = 1 << 20


@dataclass(frozen=True)
class Completed:
    """How one run of the program completed, and what it said."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        return self.stdout.decode()

    @property
    def json(self) -> dict[str, Any]:
        """Standard output, which is one JSON object and nothing else."""
        parsed = json.loads(self.stdout)
        assert isinstance(parsed, dict), parsed
        return parsed


class Program:
    """Runs `douane`. After the test, :meth:`nothing_left` looks for what must not be there."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.home = place / "home"
        self.temporary = place / "temporary"
        self.temporary.mkdir()
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(("DOUANE_", "XDG_"))}
        self.env |= {
            "DOUANE_HOME": str(self.home),
            "HOME": str(place / "user"),
            "TMPDIR": str(self.temporary),
            "LANG": "C.UTF-8",
        }
        become_subreaper()
        self._earlier = children()

    def command(self, *args: object) -> list[str]:
        """The command line; the program is the one beside this Python."""
        return [str(Path(sys.executable).parent / "douane"), *map(str, args)]

    def start(
        self,
        *args: object,
        wrap: Sequence[str] = (),
        env: dict[str, str] | None = None,
        stdin: Any = subprocess.DEVNULL,
        stdout: Any = subprocess.PIPE,
        stderr: Any = subprocess.PIPE,
    ) -> subprocess.Popen[bytes]:
        """Begin a run; `wrap` is the beginning of the command line, another program that runs this one."""
        return subprocess.Popen(
            [*wrap, *self.command(*args)],
            cwd=self.place,
            env=env or self.env,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )

    def run(self, *args: object, input: bytes | None = None, **how: Any) -> Completed:
        """A whole run. `input` is what its standard input gives."""
        if input is not None:
            how["stdin"] = subprocess.PIPE
        return end(self.start(*args, **how), input)

    def report(
        self, image: bytes | Iterable[bytes], plan: str, command: str = "check", *, tier: str = "strict"
    ) -> dict[str, Any]:
        """The report of an image under a plan, with the `exit` status; no temporary file may be left."""
        path, config = self.place / "image", self.place / "plan.toml"
        with path.open("wb") as file:
            file.writelines([image] if isinstance(image, bytes) else image)
        config.write_text(plan)
        completed = self.run(command, path, "--config", config, "--sandbox", tier, "--json")
        assert list(self.temporary.iterdir()) == []
        return completed.json | {"exit": completed.code}

    def images(self) -> list[dict[str, Any]]:
        """What `douane images --json` lists."""
        completed = self.run("images", "--json")
        assert completed.code == 0, completed.stderr
        listed: list[dict[str, Any]] = completed.json["images"]
        return listed

    def bring_in(self, file: Path, *args: object) -> str:
        """Import a file that will be accepted; the image's id."""
        completed = self.run("import", file, *args)
        assert completed.code == 0, completed.stderr
        return completed.text.strip()

    def stored(self) -> list[str]:
        """The names of all files in the store, staged ones with their folder."""
        store = self.home / "store"
        return sorted(str(path.relative_to(store)) for path in store.rglob("*") if not path.is_dir())

    def clear_up(self, plan: Path, tier: str) -> None:
        """Run once more: this removes what an engine that was killed could not remove itself, its plugins' folders."""
        assert all(path.name.startswith("douane-plugin-") for path in self.temporary.iterdir())
        image = self.place / "small.raw"
        image.write_bytes(bytes(1 << 20))
        completed = self.run("check", image, "-c", plan, "--sandbox", tier)
        assert completed.code == 0, completed.stderr

    def nothing_left(self) -> None:
        """No process, no temporary file, no staged file."""
        wait_until_gone(self._earlier)
        assert list(self.temporary.iterdir()) == []
        assert [name for name in self.stored() if name.startswith("staging/")] == []


def end(process: subprocess.Popen[bytes], input: bytes | None = None) -> Completed:
    """Wait for a run's end. Whatever happened, nobody is shown a traceback."""
    try:
        out, err = process.communicate(input, timeout=SECONDS)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    completed = Completed(process.returncode, out or b"", (err or b"").decode(errors="replace"))
    assert "Traceback" not in completed.stderr.replace("plugin Traceback", "")
    assert "Exception ignored" not in completed.stderr
    return completed


def without_roots_rights() -> tuple[str, ...]:
    """Begins a command line whose program has to ask permission like any user's, also when the tests run as root."""
    if os.geteuid() != 0:
        return ()
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search")
