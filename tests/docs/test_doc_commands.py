"""Who types what README and tutorial say sees what they show, and gets the exit codes that they state."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.doc_pages import TOP, blocks, page
from support.processes import SECONDS

_EXIT = re.compile(r"#\s*exit (\d+)\s*$")


@dataclass
class Step:
    """A command, the exit code stated, and the lines shown."""

    command: str
    code: int = 0
    output: list[str] = field(default_factory=list)


def steps_of(name: str, folder: Path) -> list[list[Step] | None]:
    """The console blocks of a page as lists of steps; None stands for files that were saved meanwhile."""
    groups: list[list[Step] | None] = []
    for block in blocks(page(name)):
        if block.language == "console":
            steps: list[Step] = []
            for line in block.text.splitlines():
                if line.startswith("$ "):
                    stated = _EXIT.search(line)
                    steps.append(Step(line[2:], int(stated[1]) if stated else 0))
                else:
                    steps[-1].output.append(line)
            groups.append(steps)
        elif block.file is not None:
            (folder / block.file).write_text(block.text)
    return groups


def run_all(steps: list[Step], folder: Path, results: Path) -> list[tuple[int, str]]:
    """Run the commands in one bash, as a person does, so that variables live on."""
    script = "".join(
        f'{{ {step.command}\n}} >"{results}/{number}.out" 2>&1\necho $? >"{results}/{number}.code"\n'
        for number, step in enumerate(steps)
    )
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "PYTEST_ADDOPTS": "-p no:timeout -p no:xdist",  # the page installs pytest alone
    }
    subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, check=True, timeout=SECONDS, stdin=subprocess.DEVNULL
    )
    return [
        (int((results / f"{number}.code").read_text()), (results / f"{number}.out").read_text())
        for number in range(len(steps))
    ]


def plain(line: str) -> str:
    return " ".join(line.split())


def matches(lines: list[str], output: str) -> bool:
    """`...` alone stands for any lines, `...` in a line for any text; white space counts as one space."""
    pattern = ""
    for line in map(plain, lines):
        if line == "...":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*".join(re.escape(part.strip()) for part in line.split("...")) + r"\n"
    return re.fullmatch(pattern, "".join(plain(line) + "\n" for line in output.splitlines())) is not None


PAGES = ["README.md", "docs/tutorial.md", "docs/testing-plugins.md", "docs/plugin-command.md"]


@pytest.mark.parametrize(
    ("name", "place"), [*((name, "elsewhere") for name in PAGES), *((name, "checkout") for name in PAGES[1:3])]
)
def test_the_commands_of_a_page_do_what_it_shows(name, place, tmp_path):
    folder, results = tmp_path / place / "try", tmp_path / "results"
    folder.mkdir(parents=True)
    if place == "checkout":
        shutil.copy(TOP / "pyproject.toml", folder.parent)  # of which pytest takes its settings
    results.mkdir()
    steps = [step for steps in steps_of(name, folder) for step in steps or []]
    assert steps, f"{name} shows no command"
    problems = []
    for step, (code, output) in zip(steps, run_all(steps, folder, results), strict=True):
        if code != step.code:
            problems.append(f"$ {step.command}\n  ended with {code}, the page says {step.code}:\n{output}")
        elif not matches(step.output, output):
            problems.append(
                f"$ {step.command}\n  the page shows:\n" + "\n".join(step.output) + f"\n  it said:\n{output}"
            )
    assert not problems, "\n\n".join(problems)


def test_the_tutorial_installs_what_exists_in_the_checkout(tmp_path):
    install = next(block.text for block in blocks(page("docs/tutorial.md")) if "bin/activate" in block.text)
    checkout, log = tmp_path / "douane", tmp_path / "pip.log"
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "activate").write_text(f'pip() {{ printf "%s\\n" "$@" >>"{log}"; }}\n')
    subprocess.run(["bash", "-c", f"set -e\n{install}"], cwd=checkout, capture_output=True, check=True)
    installed = log.read_text().split()[1:]
    folders = [word for word in installed if word.startswith(".")]
    assert folders
    assert all((TOP / folder / "pyproject.toml").is_file() for folder in folders)
    text = page("docs/tutorial.md").partition("bin/activate")[0]
    assert all(word in text for word in (*installed, "douane-kit", "hypothesis"))


def test_no_text_installs_from_a_package_index_what_no_index_has():
    names = r"(douane|douane-plugin|douane-guest|douane-kit)"
    command = re.compile(rf"pip install (?:[^`\n]*\s)?['\"]?{names}(?:\[\w+\])?(?=['\"`\s]|==|$)", re.M)
    files = subprocess.run(
        ["git", "ls-files", "*.md", "*.py", "*.in", "*.sh", "*.toml"],
        cwd=TOP,
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split()
    assert command.search("run `/opt/x/bin/pip install douane-plugin numpy`")
    assert command.search("pip install 'douane[author]'")
    assert not command.search("pip install ./sdk ./douane")
    texts = {name: (TOP / name).read_text() for name in files if name != "tests/docs/test_doc_commands.py"}
    assert [name for name, text in texts.items() if command.search(text)] == []


@pytest.mark.parametrize(
    ("lines", "output", "fits"),
    [
        (["a  b"], "a\tb\n", True),
        (["a"], "b\n", False),
        (["a"], "a\nb\n", False),
        (["a", "..."], "a\nb\nc\n", True),
        (["a ... c"], "a b c\n", True),
        (["...", "c"], "a\nb\n", False),
        ([], "", True),
        ([], "an error\n", False),
    ],
)
def test_the_comparison_can_fail(lines, output, fits):
    assert matches(lines, output) is fits
