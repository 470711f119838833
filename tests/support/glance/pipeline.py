"""glance-api-paste.ini as Glance ships it, with more filters in its pipeline."""

from __future__ import annotations

import configparser
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .environments import Environment

FLAVOR = "keystone"


@dataclass(frozen=True)
class PasteFilter:
    """A filter for the pipeline, directly behind the filter `predecessor`, or before `successor`."""

    name: str
    factory: str
    """``module:function`` for paste.filter_factory."""
    options: Mapping[str, str] = field(default_factory=dict)
    predecessor: str | None = "context"
    successor: str | None = None


def paste_ini(environment: Environment, filters: tuple[PasteFilter, ...] = (), flavor: str = FLAVOR) -> str:
    """The text of the file. Filters for the same place keep their order."""
    shipped = configparser.ConfigParser(interpolation=None)
    shipped.optionxform = str  # type: ignore[assignment,method-assign]  # keys are case-sensitive in paste files
    shipped.read_string(shipped_paste_ini(environment).read_text())
    names = shipped["composite:api"][flavor].split()
    for new in filters:
        if new.successor is not None:
            names.insert(names.index(new.successor), new.name)
        else:
            assert new.predecessor is not None
            place = names.index(new.predecessor) + 1
            while names[place] in {added.name for added in filters}:
                place += 1
            names.insert(place, new.name)
        shipped[f"filter:{new.name}"] = {"paste.filter_factory": new.factory, **new.options}
    shipped["composite:api"][flavor] = " ".join(names)
    text = io.StringIO()
    shipped.write(text)
    return text.getvalue()


def shipped_paste_ini(environment: Environment) -> Path:
    """The file of the wheel."""
    return environment.path / "etc" / "glance" / "glance-api-paste.ini"
