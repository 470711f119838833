"""The rules that the operator grants: compiled once, and their digest. Needs `yara-x`."""

from __future__ import annotations

import hashlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

ENDINGS = (".yar", ".yara")
COMPILED = b"YARA-X"
"""How a file of compiled rules (``yr compile``) begins."""

GLOBALS = {"filename": "", "filepath": "", "extension": ""}
"""Variables that published rules expect to be set for each file."""


class CompiledRules:
    """Rules, and the SHA-256 of their sources with their names. `variables` are those of GLOBALS that occur in them."""

    def __init__(self, rules: Any, digest: str, variables: tuple[str, ...] = tuple(GLOBALS)) -> None:
        self.rules = rules
        self.digest = digest
        self.variables = variables


def compile_rules(grant: Any, compiled: CompiledRules | None = None) -> CompiledRules:
    """The rules in a granted file or folder; `compiled` if those are the same. Raises ValueError with a sentence."""
    try:
        import yara_x
    except ImportError:
        raise ValueError(
            "YARA rules need the library yara-x: run `pip install '.[yara]'` in a checkout of Douane"
        ) from None
    digest = hashlib.sha256()
    sources = list(_sources(grant))
    if not sources:
        raise ValueError(f"the granted folder has no file that ends with {' or '.join(ENDINGS)}")
    for name, data in sources:
        digest.update(f"{len(name)} {name} {len(data)}\n".encode("utf-8", "surrogateescape") + data)
    if compiled is not None and compiled.digest == digest.hexdigest():
        return compiled
    if len(sources) == 1 and sources[0][1].startswith(COMPILED):
        return CompiledRules(_deserialized(yara_x, sources[0][1]), digest.hexdigest())
    compiler = yara_x.Compiler()
    for name, value in GLOBALS.items():
        compiler.define_global(name, value)
    for name, data in sources:
        compiler.new_namespace(os.path.splitext(name)[0])
        _add(yara_x, compiler, name, data)
    variables = tuple(name for name in GLOBALS if any(name.encode() in data for _, data in sources))
    return CompiledRules(compiler.build(), digest.hexdigest(), variables)


def _sources(grant: Any) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file, in the order of the names."""
    if hasattr(grant, "read"):
        grant.seek(0)
        yield "rules", grant.read()
        return
    folder = os.fspath(grant)
    paths = (os.path.join(place, name) for place, _, names in os.walk(folder, onerror=_unreadable) for name in names)
    for path in sorted(path for path in paths if path.endswith(ENDINGS)):
        with open(path, "rb") as file:
            yield os.path.relpath(path, folder), file.read()


def _unreadable(error: OSError) -> None:
    """A folder that is passed over would be rules that nobody applies."""
    raise ValueError(f"the granted folder has one that cannot be read: {error.filename}: {error.strerror}") from error


def _add(yara_x: Any, compiler: Any, name: str, data: bytes) -> None:
    try:
        compiler.add_source(data.decode(), origin=name)
    except UnicodeDecodeError as error:
        raise ValueError(f"the rules in {name} are not UTF-8: {error}") from None
    except yara_x.CompileError as error:
        raise ValueError(f"the rules in {name} do not compile: {_in_a_line(str(error))}") from None


def _in_a_line(report: str) -> str:
    """What is wrong, and where, of a report that draws the rule below: ``error[E009]: ...``, then ``--> FILE:1:2``."""
    what, _, drawn = report.partition("\n")
    place = drawn.strip().removeprefix("--> ").split("\n")[0]
    return f"{what} ({place})" if place else what


def _deserialized(yara_x: Any, data: bytes) -> Any:
    import io

    try:
        return yara_x.Rules.deserialize_from(io.BytesIO(data))
    except Exception as error:  # the library has no class for it
        raise ValueError(f"the compiled rules cannot be loaded: {error}; compile them again") from None
