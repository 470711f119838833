"""The bytes, texts and numbers that a plugin compares with: images that reach its branches are made of them."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

LONGEST = 4096
MOST = 400
MOST_VISITED = 20_000


class Found:
    """Constants, in the order in which they were found."""

    def __init__(self) -> None:
        self.bytes: dict[bytes, None] = {}
        self.texts: dict[str, None] = {}
        self.ints: dict[int, None] = {}
        self.floats: dict[float, None] = {}
        self.patterns: dict[tuple[Any, int], None] = {}
        self._visited = 0
        self._seen: set[int] = set()

    def add(self, value: Any, depth: int = 4) -> None:
        """`value`, and what is in it."""
        self._visited += 1
        if self._visited > MOST_VISITED:
            return
        kind = type(value)
        if value is None or kind is bool or kind is memoryview:
            return
        if kind is bytes or kind is bytearray:
            if 0 < len(value) <= LONGEST and len(self.bytes) < MOST:
                self.bytes[bytes(value)] = None
        elif kind is str:
            if 0 < len(value) <= LONGEST and len(self.texts) < MOST:
                self.texts[value] = None
        elif kind is int:
            if -(1 << 64) < value < 1 << 128 and len(self.ints) < MOST:
                self.ints[value] = None
        elif kind is float:
            self.floats[value] = None
        elif kind is slice:
            for part in (value.start, value.stop, value.step):
                self.add(part, depth)
        elif kind.__name__ == "Pattern" and hasattr(value, "pattern"):
            self.patterns[(value.pattern, value.flags)] = None
        elif kind.__name__ == "Struct" and hasattr(value, "format"):
            self.add(value.format, depth)
            self.add(value.size, depth)
        elif depth > 0 and id(value) not in self._seen:
            self._inside(value, depth)

    def _inside(self, value: Any, depth: int) -> None:
        kind = type(value)
        if kind is dict or isinstance(value, dict):
            self._seen.add(id(value))
            for key, item in list(value.items())[:2000]:
                self.add(key, depth - 1)
                self.add(item, depth - 1)
        elif isinstance(value, (list, tuple, set, frozenset)):
            self._seen.add(id(value))
            for item in sorted(value, key=repr)[:2000] if isinstance(value, (set, frozenset)) else value[:2000]:
                self.add(item, depth - 1)
        elif isinstance(getattr(value, "__dict__", None), dict) and not isinstance(value, type(sys)):
            self._seen.add(id(value))
            if "_douane" in vars(value) or kind.__module__ not in ("builtins", "io", "logging"):
                for name, item in list(vars(value).items())[:500]:
                    if name != "_douane":
                        self.add(item, depth - 1)

    def code(self, code: Any) -> None:
        """A code object's constants, and those of the code in it."""
        if id(code) in self._seen:
            return
        self._seen.add(id(code))
        doc = code.co_consts[0] if code.co_consts and isinstance(code.co_consts[0], str) else None
        for constant in code.co_consts:
            if hasattr(constant, "co_consts"):
                self.code(constant)
            elif doc is None or constant is not doc:
                self.add(constant)

    def module(self, module: Any, is_plugins: Callable[[str], bool]) -> None:
        """The globals of a plugin's module, its functions and classes."""
        for name, value in list(vars(module).items()):
            if not name.startswith("__"):
                self._global(value, is_plugins)

    def _global(self, value: Any, is_plugins: Callable[[str], bool]) -> None:
        code = getattr(getattr(value, "__wrapped__", value), "__code__", None)
        if code is not None:
            if is_plugins(code.co_filename):
                self.code(code)
        elif isinstance(value, type):
            home = sys.modules.get(value.__module__)
            if is_plugins(getattr(home, "__file__", None) or ""):
                self.of_class(value)
        elif not isinstance(value, type(sys)):
            self.add(value)

    def of_class(self, cls: type) -> None:
        """The attributes of a class, and its methods."""
        for name, item in list(vars(cls).items()):
            if name in ("__doc__", "__module__", "__qualname__"):
                continue
            inner = getattr(item, "__func__", getattr(item, "fget", item))
            inner = getattr(inner, "__wrapped__", inner)
            if hasattr(inner, "__code__"):
                self.code(inner.__code__)
            elif not isinstance(inner, type):
                self.add(inner)

    def told(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "bytes": [value.hex() for value in self.bytes],
            "texts": [value for value in self.texts if _plain(value)],
            "ints": [str(value) for value in self.ints],
            "patterns": [
                [isinstance(pattern, bytes), pattern.hex() if isinstance(pattern, bytes) else pattern, flags]
                for pattern, flags in self.patterns
            ],
        }


def _plain(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def gather(cls: type, modules: Iterable[Any], is_plugins: Callable[[str], bool]) -> Found:
    """All that stands in the plugin's code."""
    found = Found()
    # The class itself comes first: what stands first is tried most.
    for base in cls.__mro__:
        if base.__module__ != "builtins" and not base.__module__.startswith("douane_plugin"):
            found.of_class(base)
    for module in modules:
        found.module(module, is_plugins)
    return found
