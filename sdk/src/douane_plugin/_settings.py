"""The configuration is the constructor: read its parameters, and check the operator's values against them.

This module does without `inspect` and `typing`, whose import takes longer than the start of the interpreter.
"""

from __future__ import annotations

from ._json import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

_VARARGS, _VARKEYWORDS = 0x04, 0x08  # inspect.CO_VARARGS, inspect.CO_VARKEYWORDS
_MISSING = object()


class SettingError(Exception):
    """A configuration that does not fit the constructor.

    `key` is the name of the setting; `message` is a sentence without the name of the plugin.
    """

    def __init__(self, key: Optional[str], message: str) -> None:
        self.key = key
        self.message = message
        super().__init__(message)


class Parameter:
    """A parameter of the constructor: its name, its annotation, its default."""

    def __init__(self, name: str, annotation: Any, default: Any) -> None:
        self.name = name
        self.annotation = annotation
        self.default = default

    @property
    def required(self) -> bool:
        """True if the parameter has no default."""
        return self.default is _MISSING

    def describe(self) -> dict[str, Any]:
        """Return the JSON for the engine: name, type, required, default_text, and default if JSON has such a value."""
        description: dict[str, Any] = {"name": self.name, "type": spell(self.annotation), "required": self.required}
        if not self.required:
            description["default_text"] = repr(self.default)[:200]
            try:
                dumps(self.default)
                description["default"] = self.default
            except TypeError:
                pass
        return description


def parameters(cls: type) -> tuple[list[Parameter], bool]:
    """Return the parameters of the constructor of `cls`, and True if it takes any other keyword as well."""
    init: Any = cls.__init__  # type: ignore[misc]  # __init__ of any class
    if init is object.__init__:
        return [], False
    while hasattr(init, "__wrapped__"):
        init = init.__wrapped__
    code = getattr(init, "__code__", None)
    if code is None:
        return [], True
    names = code.co_varnames[1 : code.co_argcount]
    defaults = init.__defaults__ or ()
    by_name = dict(zip(names[len(names) - len(defaults) :], defaults))
    by_name.update(init.__kwdefaults__ or {})
    keywords = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    hints = getattr(init, "__annotations__", {})
    scope = getattr(init, "__globals__", {})
    named = []
    for name in names + keywords:
        default = by_name.get(name, _MISSING)
        annotation = _resolve(hints.get(name, _MISSING), scope)
        if annotation is _MISSING and default is not _MISSING and default is not None:
            annotation = type(default)
        named.append(Parameter(name, annotation, default))
    return named, bool(code.co_flags & _VARKEYWORDS)


def arguments(cls: type, config: dict[str, Any], texts: dict[str, str]) -> dict[str, Any]:
    """Return the keyword arguments for the constructor of `cls`. Raises SettingError.

    `config` has the values of a TOML file; `texts` has those of a command line, which take the type of the parameter.
    """
    named, takes_any = parameters(cls)
    by_name = {parameter.name: parameter for parameter in named}
    values: dict[str, Any] = {}
    for key in [*config, *texts]:
        parameter = by_name.get(key)
        if parameter is None:
            if not takes_any:
                raise SettingError(key, _unknown(key, list(by_name)))
            values[key] = texts[key] if key in texts else config[key]
            continue
        if key in texts:
            written, value = texts[key], _from_text(texts[key], parameter.annotation)
        else:
            written, value = config[key], _fit(config[key], parameter.annotation)
        if value is _MISSING:
            raise SettingError(key, f"{key!r} must be {spell(parameter.annotation)}, not {written!r:.100}")
        values[key] = value
    for parameter in named:
        if parameter.required and parameter.name not in values:
            raise SettingError(
                parameter.name, f"{parameter.name!r} ({spell(parameter.annotation)}) is required and not set"
            )
    return values


def _unknown(key: str, names: list[str]) -> str:
    if not names:
        return f"{key!r} is set, but the plugin takes no configuration"
    return f"{key!r} is not a setting of the plugin; it has: {', '.join(names)}"


def _resolve(annotation: Any, scope: dict[str, Any]) -> Any:
    if isinstance(annotation, str):
        try:
            return eval(annotation, dict(scope))  # noqa: S307  # the author's own source, as typing evaluates it
        except Exception:  # a name that only type checkers see: the type is not checked
            return _MISSING
    return annotation


def spell(annotation: Any) -> str:
    """Return a type as text for a person: ``int``, ``list[str]``, ``'fast' or 'thorough'``."""
    if annotation is _MISSING or _is_any(annotation):
        return "anything"
    origin, inner = getattr(annotation, "__origin__", None), getattr(annotation, "__args__", ())
    if _is_union(annotation):
        return " or ".join("none" if item is type(None) else spell(item) for item in inner)
    if _is_literal(annotation):
        return " or ".join(repr(item) for item in inner)
    if isinstance(origin, type) and inner:
        return f"{origin.__name__}[{', '.join(spell(item) for item in inner)}]"
    return getattr(annotation, "__name__", None) or str(annotation)


def _is_any(annotation: Any) -> bool:
    return str(annotation) == "typing.Any"


def _is_union(annotation: Any) -> bool:
    return str(getattr(annotation, "__origin__", "")) == "typing.Union" or type(annotation).__name__ in (
        "UnionType",
        "Union",
    )


def _is_literal(annotation: Any) -> bool:
    return str(getattr(annotation, "__origin__", "")) == "typing.Literal"


def _fit(value: Any, annotation: Any) -> Any:
    """Return `value` as the parameter takes it, or _MISSING if it has another type."""
    if annotation is _MISSING or _is_any(annotation):
        return value
    inner = getattr(annotation, "__args__", ())
    if _is_union(annotation):
        return next((fitted for fitted in (_fit(value, item) for item in inner) if fitted is not _MISSING), _MISSING)
    if _is_literal(annotation):
        return value if any(value == item and type(value) is type(item) for item in inner) else _MISSING
    if annotation is None or annotation is type(None):
        return None if value is None else _MISSING
    kind = getattr(annotation, "__origin__", None) or annotation
    if kind is bool:
        return value if isinstance(value, bool) else _MISSING
    if kind is int:
        return value if isinstance(value, int) and not isinstance(value, bool) else _MISSING
    if kind is float:
        return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else _MISSING
    if kind is str:
        return value if isinstance(value, str) else _MISSING
    name = getattr(kind, "__name__", "")
    if kind in (list, tuple, set, frozenset) or name in ("Sequence", "Iterable", "Collection"):
        return _fit_list(value, kind, inner)
    if kind is dict or name in ("Mapping", "MutableMapping"):
        return _fit_dict(value, inner)
    return value  # a class of the author's: the constructor decides


def _fit_list(value: Any, kind: Any, inner: tuple[Any, ...]) -> Any:
    if not isinstance(value, list):
        return _MISSING
    item_type = inner[0] if inner else _MISSING
    items = [_fit(item, item_type) for item in value]
    if any(item is _MISSING for item in items):
        return _MISSING
    return kind(items) if kind in (tuple, set, frozenset) else items


def _fit_dict(value: Any, inner: tuple[Any, ...]) -> Any:
    if not isinstance(value, dict):
        return _MISSING
    item_type = inner[1] if len(inner) == 2 else _MISSING
    items = {key: _fit(item, item_type) for key, item in value.items()}
    return _MISSING if any(item is _MISSING for item in items.values()) else items


def _from_text(text: str, annotation: Any) -> Any:
    """Return a value of a command line: the text itself if the parameter takes a str, else its JSON."""
    fitted = _fit(text, annotation)
    if fitted is not _MISSING and annotation is not _MISSING and not _is_any(annotation):
        return fitted
    try:
        value = loads(text)
    except Exception:  # not JSON (the C scanner raises StopIteration, json ValueError): plain text
        value = text
    return _fit(value, annotation)
