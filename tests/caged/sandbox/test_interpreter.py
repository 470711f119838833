"""Another interpreter: its description, or the error that refuses it."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import douane_plugin
from douane import sandbox
from douane.sandbox import launch_spec, spawn
from douane.sandbox.interpreter import CAGED
from support.sandbox.process import Cell


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An empty virtual environment."""
    place = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    return place


def site_packages(environment: Path) -> Path:
    return next((environment / "lib").glob("python3*/site-packages"))


def test_our_own_interpreter_has_its_import_path(tmp_path: Path) -> None:
    ours = sandbox.interpreter()
    assert ours.version == sys.version_info[:2]
    assert sandbox.interpreter() is ours
    assert str(Path(douane_plugin.__path__[0]).parent) in ours.sys_path
    assert all(os.path.isabs(entry) for entry in ours.sys_path)
    for wide in ("/", "/etc", "/usr", "/usr/lib", "/usr/local/etc", "/home", str(Path.home())):
        assert Path(wide) not in ours.read


def test_a_virtual_environment_has_its_own_libraries(tier: sandbox.Tier, environment: Path, tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    (library / "only_there.py").write_text(
        "import sys\ndef answer():\n    return 42\ndef prefix():\n    return sys.prefix\n"
    )
    site_packages(environment).joinpath("site.pth").write_text(f"{library}\n{Path(douane_plugin.__path__[0]).parent}\n")
    interpreter = sandbox.interpreter(environment / "bin" / "python")
    assert str(library) in interpreter.sys_path
    assert not any("only_there" in entry for entry in sandbox.interpreter().sys_path)
    with Cell(tier, interpreter=interpreter) as cell:
        assert cell.returned("only_there.answer") == 42
        assert cell.returned("only_there.prefix") == str(environment)


def test_douane_may_be_installed_below_tmp_where_a_private_folder_is_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the plugin's user can enter the folder, and the launcher is root until it becomes that user.

    The interpreter is the system's, which every user can read: the plugin keeps no capability for it.
    """
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o777 == 0o700:
            folder.chmod(0o711)
    environment = tmp_path / "venv"
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", str(environment)], check=True)
    shutil.copytree(douane_plugin.__path__[0], site_packages(environment) / "douane_plugin")
    launcher = shutil.copytree(CAGED, tmp_path / "douane" / "caged")
    for module in (launch_spec, spawn):
        monkeypatch.setattr(module, "CAGED", str(launcher))
    bounds = sandbox.Bounds(temporary_bytes=4 << 20, temporary_files=64, file_bytes=4 << 20)
    with Cell(
        sandbox.Tier.FULL, interpreter=sandbox.interpreter(environment / "bin" / "python"), bounds=bounds
    ) as cell:
        assert cell.returned("use_files") == {}
        assert cell.report.layers["identity"]["capabilities"] == []


def test_no_code_installed_in_the_environment_runs(environment: Path, tmp_path: Path) -> None:
    """The question runs outside a sandbox; such code runs only inside, with a plugin."""
    mark = tmp_path / "ran"
    code = f"open({str(mark)!r}, 'w').close()\n"
    site = site_packages(environment)
    site.joinpath("sitecustomize.py").write_text(code)
    site.joinpath("json.py").write_text(code)
    site.joinpath("a.pth").write_text(f"import os; {code}import\tos; {code}{Path(douane_plugin.__path__[0]).parent}\n")
    interpreter = sandbox.interpreter(environment / "bin" / "python")
    assert not mark.exists()
    assert str(Path(douane_plugin.__path__[0]).parent) in interpreter.sys_path
    subprocess.run([environment / "bin" / "python", "-I", "-c", ""], check=True)
    assert mark.exists()  # so it would have been seen


@pytest.mark.parametrize("system", [False, True], ids=["alone", "with the system's"])
def test_path_files_are_read_as_python_reads_them(tmp_path: Path, system: bool) -> None:
    place = tmp_path / "venv"
    options = ["--system-site-packages"] if system else []
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", *options, str(place)], check=True)
    (tmp_path / "beside").mkdir()
    (tmp_path / "later").mkdir()
    site = site_packages(place)
    up = os.path.relpath(tmp_path, site)
    site.joinpath("b.pth").write_text(f"# {tmp_path}\n\n{up}/later  \n{tmp_path}/nothing\n{tmp_path}/beside\n")
    site.joinpath("a.pth").write_bytes(b"\xef\xbb\xbf" + os.fsencode(Path(douane_plugin.__path__[0]).parent))
    site.joinpath("c.txt").write_text("/usr/share\n")
    python = place / "bin" / "python"
    printed = subprocess.run([python, "-I", "-c", "import sys; print(sys.path)"], capture_output=True, check=True)
    real = [entry for entry in ast.literal_eval(printed.stdout.decode()) if os.path.exists(entry)]
    assert str(tmp_path / "later") in real
    entries = sandbox.interpreter(python).sys_path
    # A mark at the beginning is passed over by Python 3.13 and by us; older ones take it for a part of the name.
    contract = str(Path(douane_plugin.__path__[0]).parent)
    assert [entry for entry in entries if entry != contract] == [entry for entry in real if entry != contract]
    assert contract in entries


def test_a_named_pipe_as_a_path_file_does_not_block(environment: Path) -> None:
    os.mkfifo(site_packages(environment) / "a.pth")
    with pytest.raises(sandbox.SandboxError, match="has no douane_plugin"):
        sandbox.interpreter(environment / "bin" / "python")


def test_an_environment_without_the_contract_gets_the_install_command(environment: Path) -> None:
    with pytest.raises(sandbox.SandboxError, match=r"-m pip install \./sdk`"):
        sandbox.interpreter(environment / "bin" / "python")


def test_a_path_entry_that_exposes_too_much_is_refused(environment: Path) -> None:
    site_packages(environment).joinpath("wide.pth").write_text(f"/etc\n{Path(douane_plugin.__path__[0]).parent}\n")
    with pytest.raises(sandbox.SandboxError, match=r"/etc on its sys\.path"):
        sandbox.interpreter(environment / "bin" / "python")


@pytest.mark.parametrize(("content", "says"), [(None, "cannot be started"), ("#!/bin/sh\nexit 3\n", "exit 3")])
def test_a_file_that_is_no_python_is_named(tmp_path: Path, content: str | None, says: str) -> None:
    path = tmp_path / "python"
    if content is not None:
        path.write_text(content)
        path.chmod(0o755)
    with pytest.raises(sandbox.SandboxError, match=says) as error:
        sandbox.interpreter(path)
    assert str(path) in str(error.value)


def test_an_old_python_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "python"
    path.write_text('#!/bin/sh\necho \'{"version": [3, 8], "ctypes": true, "sdk": true}\'\n')
    path.chmod(0o755)
    with pytest.raises(sandbox.SandboxError, match=r"is Python 3\.8; a plugin needs 3\.9 or later"):
        sandbox.interpreter(path)
