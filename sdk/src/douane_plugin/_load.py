"""From what the operator wrote under `use` to a class, and what that class says of itself."""

from __future__ import annotations

import sys

from ._contract import Inspector, Transform
from ._settings import parameters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class LoadError(Exception):
    """The plugin cannot be used; the text is a sentence for the operator, without the plugin's name."""


def load(use: dict[str, Any]) -> type:
    """Import the class that `use` names: ``module`` or ``path`` with ``source``, and ``attribute``."""
    if "source" in use:
        module = _execute(use["path"], use["source"])
        where = use["path"]
    else:
        module = __import__(use["module"], fromlist=["_"])
        where = use["module"]
    found = getattr(module, use["attribute"], None)
    if found is None:
        classes = [
            name
            for name, value in vars(module).items()
            if isinstance(value, type)
            and issubclass(value, (Inspector, Transform))
            and value.__module__ == module.__name__
        ]
        has = f"it has: {', '.join(classes)}" if classes else "it has no plugin class at all"
        raise LoadError(f"there is no {use['attribute']!r} in {where}; {has}")
    if not isinstance(found, type) or not issubclass(found, (Inspector, Transform)):
        raise LoadError(
            f"{use['attribute']!r} in {where} is no plugin: a plugin is a class that derives from "
            "douane_plugin.Inspector or douane_plugin.Transform"
        )
    return found


def _execute(path: str, source: str) -> Any:
    # The engine has read the file (and its digest); the cage has no right to open it.
    from types import ModuleType

    stem = path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    module = ModuleType("plugin_" + "".join(letter if letter.isalnum() else "_" for letter in stem))
    module.__file__ = path
    sys.modules[module.__name__] = module  # dataclasses and pickle look a class's module up
    exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)  # noqa: S102  # this is the plugin
    return module


def describe(cls: type) -> dict[str, Any]:
    """What the class says of itself, as the engine is told it. Raises LoadError."""
    api: Any = getattr(cls, "api", None)
    if isinstance(api, bool) or not isinstance(api, int) or api < 1:
        raise LoadError(f"its contract level, api = {api!r:.60}, is not a whole number of 1 or more")
    transform = issubclass(cls, Transform)
    known, takes_any = parameters(cls)
    return {
        "api": api,
        "kind": "transform" if transform else "inspector",
        "reads": check_reads(getattr(cls, "reads", None), transform),
        "doc": (cls.__doc__ or "").strip()[:4000] if "__doc__" in vars(cls) else "",
        "class": cls.__name__,
        "parameters": [parameter.describe() for parameter in known],
        "takes_any": takes_any,
    }


def check_reads(reads: Any, transform: bool) -> str:
    """Return `reads` if it is one of the contract's; else raise LoadError."""
    text = reads if isinstance(reads, str) else ""
    head = text.startswith("head:") and text[5:].isascii() and text[5:].isdigit() and len(text) <= 23 and text[5] != "0"
    if transform and text in ("stream", "random"):
        return text
    if not transform and (head or text in ("nothing", "findings", "stream", "random")):
        return text
    expected = (
        "'stream' or 'random'"
        if transform
        else "'nothing', 'findings', 'head:N' (N bytes, 1 or more), 'stream' or 'random'"
    )
    raise LoadError(f"reads = {reads!r:.60} is not one of {expected}")
