"""Import the plugin that the operator named under `use`, and describe its class."""

from __future__ import annotations

import gc
import sys

# Loaded since the interpreter began; importlib.machinery is not.
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import (
    ExtensionFileLoader,
    PathFinder,
    SourceFileLoader,
    spec_from_file_location,
)

from ._contract import API_LEVEL, Inspector, Transform
from ._settings import parameters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class LoadError(Exception):
    """The plugin cannot be used. The text is a sentence for the operator, without the name of the plugin."""


def load(use: dict[str, Any]) -> type:
    """Return the class that `use` names: by ``module``, or by ``path`` and ``source``, and by ``attribute``.

    Beside a file, ``modules`` maps names to paths, and ``sources`` the paths of their Python files to texts.

    Raises LoadError, and whatever the module raises.
    """
    if "source" in use:
        _show_modules(use.get("modules", {}), use.get("sources", {}))
        module = _execute(use["path"], use["source"])
        place = use["path"]
    else:
        _ignore_caches(use["module"])
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


class _FromSource(SourceFileLoader):
    """Compiles the source each time, whatever is in __pycache__."""

    def path_stats(self, path: str) -> Any:
        """Raises OSError: without them, no cache is looked for (importlib.abc.SourceLoader)."""
        raise OSError


class _FromText(_FromSource):
    """Compiles the text that the engine has sent, which is the text whose digest it has taken."""

    def get_data(self, path: str) -> bytes:
        """See importlib.abc.FileLoader. Raises OSError for a Python file that was not there when the digest was."""
        if not path.endswith(".py"):
            return super().get_data(path)
        if path not in _SOURCES:
            raise FileNotFoundError(2, "the file was not there when Douane read the modules", path)
        return _SOURCES[path].encode()


_PACKAGES: set[str] = set()
"""The packages that plugins are in: in a sandbox, one."""

_PLACES: dict[str, str] = {}
"""The file, or the folder with a slash at its end, of each module beside the plugin's file."""

_SOURCES: dict[str, str] = {}
"""The texts of the Python files in these places."""


class _Finder:
    """Finds the modules of the plugin's own package, whose digest the engine has taken from their sources.

    A file in __pycache__ need not be what its source compiles to: whoever made the package may have put any code there.
    """

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        """See importlib.abc.MetaPathFinder."""
        package = name.partition(".")[0]
        if name in _PLACES:
            return _spec_beside(name, _PLACES[name])
        if package not in _PACKAGES and package not in _PLACES:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            loader = _FromText if package in _PLACES else _FromSource
            spec.loader = loader(spec.loader.name, spec.loader.path)
            spec.cached = None
        return spec


def _spec_beside(name: str, place: str) -> Any:
    """Return the spec of the module `name`, without listing the folder that `place` is in: the sandbox shows only what
    the operator lists."""
    if not place.endswith("/"):
        loader = _FromText(name, place) if place.endswith(".py") else ExtensionFileLoader(name, place)
        return spec_from_file_location(name, place, loader=loader)
    folder = place[:-1]
    start = f"{place}__init__.py"
    if start in _SOURCES:
        return spec_from_file_location(name, start, loader=_FromText(name, start), submodule_search_locations=[folder])
    spec = ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = [folder]
    return spec


def _show_modules(places: dict[str, str], sources: dict[str, str]) -> None:
    _PLACES.update(places)
    _SOURCES.update(sources)
    if places and _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)


def _ignore_caches(module: str) -> None:
    package = module.partition(".")[0]
    if package == "douane":
        return  # as the engine that runs it; and a start from the sources would take five times as long
    _PACKAGES.add(package)
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)


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
    reads = check_reads(getattr(cls, "reads", None), transform)
    if reads.startswith("guest"):
        check_guest()
    return {
        "api": api,
        "kind": "transform" if transform else "inspector",
        "reads": reads,
        "doc": (cls.__doc__ or "").strip()[:4000] if "__doc__" in vars(cls) else "",
        "class": cls.__name__,
        "parameters": [parameter.describe() for parameter in named],
        "takes_any": takes_any,
    }


INSPECTOR_READS = ("nothing", "findings", "stream", "random", "guest", "guest+findings", "files")
"""The values of `reads` of an inspector, without ``head:N``."""


def check_reads(reads: Any, transform: bool) -> str:
    """Return `reads` if the contract has that value. Raises LoadError."""
    text = reads if isinstance(reads, str) else ""
    head = text.startswith("head:") and text[5:].isascii() and text[5:].isdigit() and len(text) <= 23 and text[5] != "0"
    if transform and text in ("stream", "random"):
        return text
    if not transform and (head or text in INSPECTOR_READS):
        return text
    expected = (
        "'stream' or 'random'"
        if transform
        else "'nothing', 'findings', 'head:N' (N bytes, 1 or more), 'stream', 'random', 'guest', 'guest+findings' or "
        "'files'"
    )
    raise LoadError(f"reads = {reads!r:.60} is not one of {expected}")


def check_guest() -> None:
    """Import what ``image.guest`` needs, before the image arrives. Raises LoadError if it is not there."""
    try:
        __import__("douane_guest.guest")
    except ImportError as error:
        raise LoadError(
            "reads = 'guest', and tests of reads = 'files', need the package douane-guest in the plugin's Python, "
            f"which must be 3.11 or newer: install douane-plugin[guest] there ({error})"
        ) from None


def check_level(description: dict[str, Any]) -> None:
    """Raise LoadError if the plugin needs a later level of the contract than this package has."""
    if description["api"] > API_LEVEL:
        raise LoadError(f"it needs contract level {description['api']}; this douane_plugin has level {API_LEVEL}")
