"""The folder of a new plugin."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Literal

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_MOST = 48
_TEMPLATES = Path(__file__).with_name("templates")
_TAKEN = frozenset({"douane", "douane-plugin", "test", "tests", "conftest", "pytest"})


class BadName(ValueError):
    """A name that no plugin, module and class can have; the text says why."""


@dataclass(frozen=True)
class Kind:
    """What is to be written: a kind of plugin, or a program in a language."""

    what: Literal["stream", "head", "random", "nothing", "findings", "transform", "sh", "c"]
    head: int = 512
    """For ``head``: the bytes."""

    @property
    def is_program(self) -> bool:
        return self.what in ("sh", "c")


def write_folder(name: str, kind: Kind, into: Path) -> list[Path]:
    """Write the plugin `name` into a new folder of that name in `into`; the files, in the order to read them.

    Raises BadName, FileExistsError (nothing is overwritten), OSError.
    """
    if not _NAME.fullmatch(name) or len(name) > _MOST:
        raise BadName(f"{name!r}: a plugin's name is 1 to {_MOST} of a-z, 0-9 and single hyphens, like boot-sector")
    module = name.replace("-", "_")
    if name in _TAKEN or keyword.iskeyword(module) or module.startswith("test_"):
        raise BadName(f"{name!r} means something else already; name it after what it looks for")
    values = {
        "name": name,
        "module": module,
        "cls": "".join(part.capitalize() for part in name.split("-")),
        "head": str(kind.head),
    }
    folder = into / name
    folder.mkdir(parents=True)
    written = []
    for template in sorted(_TEMPLATES.joinpath(kind.what).iterdir()):
        path = folder / Template(template.name.removesuffix(".in")).substitute(values)
        path.write_text(Template(template.read_text(encoding="utf-8")).substitute(values), encoding="utf-8")
        if path.suffix == ".sh":
            path.chmod(0o755)
        written.append(path)
    readme = folder / "README.md"
    text = Template((_TEMPLATES / ("README-program.md.in" if kind.is_program else "README.md.in")).read_text("utf-8"))
    values |= {"compile": f"cc -O2 -o {name} {module}.c\n" if kind.what == "c" else ""}
    values |= {"program": f"./{name}" if kind.what == "c" else f"./{name}.sh"}
    readme.write_text(text.substitute(values), encoding="utf-8")
    return [*written, readme]
