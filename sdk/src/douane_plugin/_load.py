"""Import the plugin that the operator named under `use`, and describe its class."""

from __future__ import annotations

import gc
import sys

from ._contract import Inspector, Transform
from ._settings import parameters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class LoadError(Exception):
    """The plugin cannot be used. The text is a sentence for the operator, without the name of the plugin."""


def load(use: dict[str, Any]) -> type:
    """Return the class that `use` names: by ``module``, or by ``path`` and ``source``, and by ``attribute``.

    Raises LoadError, and whatever the module raises.
    """
    if "source" in use:
        module = _execute(use["path"], use["source"])
        place = use["path"]
    else:
        collects = gc.isenabled()
        gc.disable()  # looking for garbage takes a fifth of the time of an import, which makes none
        try:
            module = __import__(use["module"], fromlist=["_"])
        finally:
            if collects:
                gc.enable()
        place = use["module"]
    cls = getattr(module, use["attribute"], None)
    if cls is None:
        classes = [
            name
            for name, value in vars(module).items()
            if isinstance(value, type)
            and issubclass(value, (Inspector, Transform))
            and value.__module__ == module.__name__
        ]
        hint = f"it has: {', '.join(classes)}" if classes else "it has no plugin class at all"
        raise LoadError(f"there is no {use['attribute']!r} in {place}; {hint}")
    if not isinstance(cls, type) or not issubclass(cls, (Inspector, Transform)):
        raise LoadError(
            f"{use['attribute']!r} in {place} is not a plugin: a plugin is a class that derives from "
            "douane_plugin.Inspector or douane_plugin.Transform"
        )
    return cls


def _execute(path: str, source: str) -> Any:
    # The engine has read the file, and taken its digest; the sandbox cannot open it.
    from types import ModuleType

    stem = path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    module = ModuleType("plugin_" + "".join(letter if letter.isalnum() else "_" for letter in stem))
    module.__file__ = path
    sys.modules[module.__name__] = module  # dataclasses and pickle look up the module of a class
    exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)  # noqa: S102  # this is the plugin
    return module


def describe(cls: type) -> dict[str, Any]:
    """Return the JSON of the DESCRIBED frame: level, kind, `reads`, documentation and parameters. Raises LoadError."""
    api: Any = getattr(cls, "api", None)
    if isinstance(api, bool) or not isinstance(api, int) or api < 1:
        raise LoadError(f"its contract level, api = {api!r:.60}, is not an int of 1 or more")
    transform = issubclass(cls, Transform)
    named, takes_any = parameters(cls)
    return {
        "api": api,
        "kind": "transform" if transform else "inspector",
        "reads": check_reads(getattr(cls, "reads", None), transform),
        "doc": (cls.__doc__ or "").strip()[:4000] if "__doc__" in vars(cls) else "",
        "class": cls.__name__,
        "parameters": [parameter.describe() for parameter in named],
        "takes_any": takes_any,
    }


def check_reads(reads: Any, transform: bool) -> str:
    """Return `reads` if the contract has that value. Raises LoadError."""
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
