"""Machines of a site: a folder each, with a real `douane worker`, or a `douane serve` without workers."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from .processes import SECONDS
from .workers import PLUGIN


def write_machine_config(
    folder: Path, database: str, stores: Mapping[str, Path], serve: str = "", *, seconds: float = 0.0
) -> Path:
    """The configuration of one machine: the first store is the default. The plugin takes `seconds` for each chunk.

    The plugin is in the folder above, so that the machines of a test have the same plan.
    """
    folder.mkdir(exist_ok=True)
    judge = folder.parent / "judge.py"
    judge.write_text(PLUGIN)
    tables = "".join(
        f'[serve.stores.{name}]\nurl = "file:{place}"\ndefault = {str(not number).lower()}\n'
        for number, (name, place) in enumerate(stores.items())
    )
    config = folder / "douane.toml"
    config.write_text(
        f'[import]\ndigests = ["sha256"]\n[[plugin]]\nname = "judge"\nuse = "{judge}:Judge"\n'
        f'config = {{ seconds = {seconds} }}\n[serve]\ndatabase = "{database}"\ngrace = "60s"\n{serve}\n{tables}'
    )
    return config


class WorkerMachine:
    """A running `douane worker`."""

    def __init__(self, folder: Path, config: Path, *options: str, env: Mapping[str, str] | None = None) -> None:
        """Start it, and wait until it says that it runs. `env` is added to the environment."""
        self.name = folder.name
        self.log = folder / "worker.log"
        words = [sys.executable, "-m", "douane", "worker", "--home", str(folder / "home"), "--config", str(config)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*words, "--name", self.name, *options],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **(env or {})},
            )
        assert self.process.stdout is not None
        self.greeting = self.process.stdout.readline()
        assert self.greeting.startswith("douane runs "), f"it did not start: {self.greeting!r}\n{self.log.read_text()}"

    def workers(self) -> list[psutil.Process]:
        """Its worker processes."""
        running = []
        for process in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):  # it has ended meanwhile
                if "douane.imports.worker" in process.cmdline():
                    running.append(process)
        return running

    def kill(self) -> None:
        """The machine loses its power: nothing of it runs any more, and nobody releases its leases."""
        processes = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):  # a plugin ends with its worker
                process.kill()
        self.process.wait(SECONDS)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it; return the exit code, when no process of it is left."""
        started = psutil.Process(self.process.pid).children(recursive=True) if self.process.poll() is None else []
        self.process.send_signal(number)
        code = self.process.wait(SECONDS)
        _, alive = psutil.wait_procs(started, timeout=SECONDS)
        assert not alive, f"these processes are left: {alive}"
        return code


@contextmanager
def working(folder: Path, config: Path, *options: str) -> Iterator[WorkerMachine]:
    """A machine of workers, which is ended afterwards."""
    machine = WorkerMachine(folder, config, *options)
    try:
        yield machine
    finally:
        if machine.process.poll() is None:
            machine.stop()


def refusal(command: str, *words: str) -> tuple[int, str]:
    """The exit code and the messages of a `douane serve` or `douane worker` that does not start."""
    ended = subprocess.run(
        [sys.executable, "-m", "douane", command, *words],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        env={**os.environ, "DOUANE_HOME": "/nonexistent"},
    )
    assert ended.stdout == ""
    return ended.returncode, ended.stderr
