"""Write the folder of a new plugin from its templates."""

from __future__ import annotations

import keyword
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Literal

import douane_plugin
from douane.plan.builtin import BUILT_IN

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_MAX_NAME = 48
_TEMPLATES = Path(__file__).with_name("templates")
_SHORT_HEAD = 512
"""A head of fewer bytes has no boot signature."""
_MODULES = frozenset({"conftest", "douane", "douane_plugin", "iniconfig", "packaging", "pluggy", "pygments", "pytest"})
"""Modules that a test run imports. A file of such a name beside the tests would be imported in their place."""
_CLASSES = frozenset({"Any", *douane_plugin.__all__})
"""Names that the files import."""


class BadName(ValueError):
    """A name that a plugin, its module and its class cannot have. The text says why."""


@dataclass(frozen=True)
class Kind:
    """A kind of plugin, or a program in a language. `head` is the N of ``head:N``, in bytes."""

    what: Literal[
        "stream", "head", "random", "guest", "guest+findings", "files", "nothing", "findings", "transform", "sh", "c"
    ]
    head: int = 512

    @property
    def folder(self) -> str:
        """The folder of the templates."""
        return "short-head" if self.what == "head" and self.head < _SHORT_HEAD else self.what.replace("+", "-")

    @property
    def is_program(self) -> bool:
        """True for a program."""
        return self.what in ("sh", "c")


def write_folder(name: str, kind: Kind, into: Path) -> list[Path]:
    """Write the plugin `name` into a new folder of that name in `into`, and return the files in the order to read them.

    Raises BadName, FileExistsError if the folder exists, OSError.
    """
    if not _NAME.fullmatch(name) or len(name) > _MAX_NAME:
        raise BadName(
            f"{name!r}: the name of a plugin is 1 to {_MAX_NAME} of a-z, 0-9 and single hyphens, like boot-sector"
        )
    module = name.replace("-", "_")
    cls = "".join(part.capitalize() for part in name.split("-"))
    if meaning := _meaning(name, module, cls):
        raise BadName(f"{name!r} is already {meaning}; name the plugin after its rule")
    values = {
        "name": name,
        "module": module,
        "cls": cls,
        "head": str(kind.head),
    }
    folder = into / name
    folder.mkdir(parents=True)
    try:
        return _write(folder, kind, values)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)  # created above, and useless if incomplete
        raise


def _write(folder: Path, kind: Kind, values: dict[str, str]) -> list[Path]:
    written = []
    for template in sorted(_TEMPLATES.joinpath(kind.folder).iterdir()):
        path = folder / Template(template.name.removesuffix(".in")).substitute(values)
        path.write_text(Template(template.read_text(encoding="utf-8")).substitute(values), encoding="utf-8")
        if path.suffix == ".sh":
            path.chmod(0o755)
        written.append(path)
    name, module = values["name"], values["module"]
    settings = folder / "pytest.ini"
    settings.write_text((_TEMPLATES / "pytest.ini.in").read_text("utf-8"), encoding="utf-8")
    readme = folder / "README.md"
    text = Template((_TEMPLATES / ("README-program.md.in" if kind.is_program else "README.md.in")).read_text("utf-8"))
    values |= {"compile": f"cc -O2 -o {name} {module}.c\n" if kind.what == "c" else ""}
    values |= {"program": f"./{name}" if kind.what == "c" else f"./{name}.sh"}
    readme.write_text(text.substitute(values), encoding="utf-8")
    return [*written, settings, readme]


def _meaning(name: str, module: str, cls: str) -> str:
    """Return what the name already stands for; empty if it is free."""
    if keyword.iskeyword(module):
        return "a keyword of Python"
    if module in sys.stdlib_module_names or module in _MODULES:
        return "the name of a module that Python or its tests need"
    if module in ("test", "tests") or module.startswith("test_"):
        return "the name of a test"
    if name in BUILT_IN:
        return "a built-in plugin"
    if cls in _CLASSES:
        return "a name in the contract"
    return ""
