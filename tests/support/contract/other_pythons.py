"""Other Pythons than the one that runs the tests, and other releases of the contract than the engine's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

SDK = Path(__file__).parents[3] / "sdk"
VERSIONS = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
LATER = "1.7.0"
"""The version of the contract's later release: it says more than the engine knows."""


def pythons() -> dict[str, str]:
    """Every Python of the contract that is found here, by version, and in any case the one that runs this."""
    version_here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    interpreters = {version_here: sys.executable}
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for version in VERSIONS:
        try:
            candidates = [f"python{version}", *map(str, sorted(versions.glob(f"{version}.*/bin/python")))]
        except PermissionError:
            candidates = [f"python{version}"]
        for candidate in candidates:
            if version not in interpreters and _is(candidate, version):
                interpreters[version] = candidate
    return {version: interpreters[version] for version in VERSIONS if version in interpreters}


def _is(candidate: str, version: str) -> bool:
    # A version manager leaves names on PATH that run nothing.
    question = f"import ctypes, sys, venv; sys.exit('%d.%d' % sys.version_info[:2] != '{version}')"
    try:
        return subprocess.run([candidate, "-c", question], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def build(folder: Path, *, later: bool) -> Path:
    """The contract's wheel; with `later` one of a later release, whose frames hold keys that nobody knows yet."""
    source = folder / "sdk"
    shutil.copytree(SDK, source, ignore=shutil.ignore_patterns("tests", "__pycache__", "dist"))
    if later:
        project = source / "pyproject.toml"
        text, count = re.subn(r'(?m)^version = ".*"$', f'version = "{LATER}"', project.read_text())
        assert count == 1
        project.write_text(text)
        channel = source / "src" / "douane_plugin" / "_channel.py"
        plain = "self.send(kind, dumps_text(value).encode())"
        text = channel.read_text()
        assert text.count(plain) == 1
        more = 'self.send(kind, dumps_text({"a_later_key": [1, {"x": None}], **value, "another": "é"}).encode())'
        channel.write_text(text.replace(plain, more))
    wheels = folder / "wheels"
    words = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *words, "--wheel-dir", str(wheels), str(source)], check=True)
    (wheel,) = wheels.glob("douane_plugin-*.whl")
    return wheel


def environment(python: str, wheel: Path, folder: Path) -> Path:
    """A virtual environment of `python` with nothing but `wheel` in it; its interpreter."""
    subprocess.run([python, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = folder.glob("lib/python3.*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    return folder / "bin" / "python"
