"""JSON for a process that must start fast.

`import json` takes 8 ms, as long as the interpreter itself, because it imports `re`. Its scanner in C does not need
`re`. If `_json` has another shape than expected, `json` is imported.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable


def _make_loads() -> Callable[[str], Any]:
    try:
        from _json import make_scanner

        class _Context:
            strict = True
            object_hook = None
            object_pairs_hook = None
            parse_float = float
            parse_int = int
            parse_constant = float
            memo: dict[str, str] = {}  # noqa: RUF012  # the C scanner reads this attribute

        context: Any = _Context()
        scan = make_scanner(context)

        def loads(text: str) -> Any:
            return scan(text, 0)[0]

        if loads('{"a": [1, "b", null, 1.5]}') == {"a": [1, "b", None, 1.5]}:
            return loads
    except Exception:  # noqa: S110  # the private module has another shape: use the public one
        pass
    import json

    return json.loads


loads = _make_loads()


def dumps(value: Any) -> str:
    """Encode None, bool, int, float, str, lists, tuples and dicts with str keys. Raises TypeError for other values."""
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    kind = type(value)
    if kind is str:
        return _string(value)
    if kind is int:
        return int.__repr__(value)
    if kind is float:
        if not float("-inf") < value < float("inf"):
            raise TypeError(f"{value!r} is not a finite number")
        return float.__repr__(value)
    if kind is list or kind is tuple:
        return "[" + ",".join([dumps(item) for item in value]) + "]"
    if kind is dict:
        parts = []
        for key, item in value.items():
            if type(key) is not str:
                raise TypeError(f"a key is a str, not {key!r:.100}")
            parts.append(_string(key) + ":" + dumps(item))
        return "{" + ",".join(parts) + "}"
    bases: tuple[Any, ...] = (str, int, float, dict, list)
    for base in bases:  # enum members, numpy.float64, OrderedDict ...
        if isinstance(value, base):
            return dumps(base(value))
    raise TypeError(f"{value!r:.100} is a {kind.__name__}; only str, int, float and bool can be sent")


def dumps_text(value: Any) -> str:
    """Encode as :func:`dumps` does, for a reader that takes text alone: the engine.

    Half a surrogate pair is no text, and a path of the guest may hold some (`surrogateescape`). They are written as
    Python shows such bytes: ``caf\\xe9``.
    """
    text = dumps(value)
    return dumps(_without_surrogates(value)) if "\\ud" in text else text


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        from ._guest_facts import printable

        return printable(value)
    if isinstance(value, (list, tuple)):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    return value


def _make_string() -> Callable[[str], str]:
    try:
        from _json import encode_basestring_ascii

        if encode_basestring_ascii('"\x00\u20ac') == '"\\"\\u0000\\u20ac"':
            encode: Callable[[str], str] = encode_basestring_ascii
            return encode
    except Exception:  # noqa: S110  # as above
        pass
    import json

    return json.dumps


_string = _make_string()
