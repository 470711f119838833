"""glance-api-paste.ini: the one that Glance ships, with a filter put into its pipeline."""

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
    """A filter for the pipeline. `after` or `before` names the filter of Glance's that it stands beside."""

    name: str
    factory: str
    """``module:function`` for paste.filter_factory."""
    options: Mapping[str, str] = field(default_factory=dict)
    after: str | None = "context"
    before: str | None = None


def paste_ini(environment: Environment, filters: tuple[PasteFilter, ...] = (), flavor: str = FLAVOR) -> str:
    """The whole text, for this flavor. Filters with the same place stand in the order given."""
    shipped = configparser.ConfigParser(interpolation=None)
    shipped.optionxform = str  # type: ignore[assignment,method-assign]  # paste's keys are as they are written
    shipped.read_string(shipped_paste_ini(environment).read_text())
    names = shipped["composite:api"][flavor].split()
    for each in filters:
        if each.before is not None:
            names.insert(names.index(each.before), each.name)
        else:
            assert each.after is not None
            place = names.index(each.after) + 1
            while names[place] in {other.name for other in filters}:
                place += 1
            names.insert(place, each.name)
        shipped[f"filter:{each.name}"] = {"paste.filter_factory": each.factory, **each.options}
    shipped["composite:api"][flavor] = " ".join(names)
    text = io.StringIO()
    shipped.write(text)
    return text.getvalue()


def shipped_paste_ini(environment: Environment) -> Path:
    """The file as the wheel has it."""
    return environment.path / "etc" / "glance" / "glance-api-paste.ini"
