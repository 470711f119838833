"""Plugins that a distribution registers, in Douane's interpreter and in another, and the versions in the report."""

from __future__ import annotations

import shutil
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

import douane_plugin
from douane.errors import PlanError
from douane.plan.code import find_code
from douane.plan.model import PluginSpec
from douane.report import Report, Verdict

Run = Callable[..., Report]


def by_name(report: Report) -> dict[str, Verdict]:
    """The verdicts of a report, by the plugin's name."""
    return {verdict.plugin: verdict for verdict in report.verdicts}


CHECK = """
import sys
from douane_plugin import Inspector
class Check(Inspector):
    def inspect(self, image): return {"prefix": sys.prefix}
"""


def install(folder: Path, name: str, version: str, *, module: str = "vendor_av/check.py", code: str = CHECK) -> Path:
    """Install a distribution with the entry point `name`, as pip does, and return its folder of metadata."""
    path = folder / module
    path.parent.mkdir(exist_ok=True)
    (path.parent / "__init__.py").touch()
    path.write_text(code)
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    info.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nText.\n")
    dotted = module.removesuffix(".py").replace("/", ".")
    info.joinpath("entry_points.txt").write_text(f"[douane.plugins]\n{name} = {dotted}:Check\n")
    info.joinpath("RECORD").write_text(f"{module},,\n{info.name}/METADATA,,\n")
    return info


@pytest.fixture
def libraries(tmp_path: Path) -> Path:
    """The site-packages of another interpreter, with the contract."""
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    [folder] = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    shutil.copytree(Path(douane_plugin.__file__).parent, folder / "douane_plugin")
    return folder


def plan(use: str, tmp_path: Path) -> str:
    return f'[[plugin]]\nname = "p"\nuse = "{use}"\npython = "{tmp_path}/venv/bin/python"\n'


@pytest.mark.parametrize("use", ["vendor-av", "vendor_av.check:Check"])
def test_a_plugin_is_found_in_its_own_interpreter_with_its_version(
    run: Run, tmp_path: Path, libraries: Path, use: str
) -> None:
    install(libraries, "vendor-av", "2.7.1")
    verdict = by_name(run(b"x", toml=plan(use, tmp_path)))["p"]
    assert verdict.properties == {"p.prefix": str(tmp_path / "venv")}
    assert (verdict.ran.use, verdict.ran.version) == (use, "2.7.1")


def test_a_plugin_of_another_interpreter_is_not_found_in_douanes_own(run: Run, tmp_path: Path, libraries: Path) -> None:
    install(libraries, "vendor-av", "2.7.1")
    with pytest.raises(PlanError, match=r"no installed plugin 'vendor-av' in Douane's own .*format.* set python = "):
        run(b"x", ["p=vendor-av"])
    with pytest.raises(PlanError, match=r"no installed plugin 'gone' for .*python; .*: .*vendor-av"):
        run(b"x", toml=plan("gone", tmp_path))


def test_reading_the_metadata_runs_no_code_of_the_distribution(tmp_path: Path) -> None:
    code = f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n{CHECK}"
    install(tmp_path, "vendor-av", "1", code=code)
    (tmp_path / "vendor_av" / "__init__.py").write_text(code)
    (tmp_path / "sitecustomize.py").write_text(code)
    for use in ("vendor-av", "vendor_av.check:Check"):
        assert find_code(PluginSpec(name="p", use=use), (str(tmp_path),)).version == "1"
    assert not (tmp_path / "ran").exists()
    assert not any(name.startswith("vendor_av") for name in sys.modules)


def version(folder: Path, use: str = "vendor_av.check:Check") -> str | None:
    return find_code(PluginSpec(name="p", use=use), (str(folder),)).version


def test_a_new_version_is_seen_without_a_new_start(tmp_path: Path) -> None:
    info = install(tmp_path, "vendor-av", "1.0")
    assert version(tmp_path) == "1.0"
    shutil.rmtree(info)
    install(tmp_path, "vendor-av", "1.1")
    assert version(tmp_path) == "1.1"


def test_a_module_that_no_distribution_has_installed_has_no_version(tmp_path: Path) -> None:
    install(tmp_path, "vendor-av", "1.0")
    (tmp_path / "loose.py").write_text(CHECK)
    (tmp_path / "vendor_av" / "other.py").write_text(CHECK)
    assert version(tmp_path, "loose:Check") is None
    assert version(tmp_path, "vendor_av.other:Check") is None


def test_a_distribution_that_is_developed_in_a_folder_has_its_version(tmp_path: Path) -> None:
    source = tmp_path / "a source"
    (tmp_path / "site").mkdir()
    (source / "src").mkdir(parents=True)
    shutil.rmtree(install(source / "src", "vendor-av", "0"))
    info = install(tmp_path / "site", "vendor-av", "1.2.dev0", module="unused/x.py")
    url = source.as_uri()
    info.joinpath("direct_url.json").write_text(f'{{"url": "{url}", "dir_info": {{"editable": true}}}}')
    path = (str(tmp_path / "site"), str(source / "src"))
    assert find_code(PluginSpec(name="p", use="vendor_av.check:Check"), path).version == "1.2.dev0"


def test_an_environment_in_the_folder_of_a_developed_distribution_has_versions_of_its_own(tmp_path: Path) -> None:
    site = tmp_path / "source" / ".venv"
    site.mkdir(parents=True)
    info = install(site, "a-developed", "9.9", module="unused/x.py")
    url = (tmp_path / "source").as_uri()
    info.joinpath("direct_url.json").write_text(f'{{"url": "{url}", "dir_info": {{"editable": true}}}}')
    install(site, "vendor-av", "1.0")
    (site / "loose.py").write_text(CHECK)
    assert version(site) == "1.0"
    assert version(site, "loose:Check") is None


@pytest.mark.parametrize("file", ["METADATA", "RECORD", "entry_points.txt", "direct_url.json"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"[", b"[douane.plugins]\nno value\n", b'{"url": 1}'])
def test_metadata_that_cannot_be_read_hide_no_other_distribution(tmp_path: Path, file: str, content: bytes) -> None:
    broken = install(tmp_path, "a-broken", "1.0", module="broken/check.py")
    broken.joinpath(file).write_bytes(content)
    install(tmp_path, "vendor-av", "2.0")
    assert version(tmp_path) == version(tmp_path, "vendor-av") == "2.0"
    assert version(tmp_path, "broken.check:Check") in (None, "1.0")


def test_a_version_is_bounded_and_printable(tmp_path: Path) -> None:
    install(tmp_path, "vendor-av", "1").joinpath("METADATA").write_text(f"Name: a\nVersion: {'9' * 5000}\n")
    assert version(tmp_path) == "9" * 100
