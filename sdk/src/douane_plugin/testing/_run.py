"""Run one plugin on one image."""

from __future__ import annotations

import logging
from typing import Any, Mapping, Optional, Sequence, Union

from ._in_process import run_in_process
from ._pieces import ChunksLike, ImageLike
from ._result import Result
from ._run_spec import Declared, PluginLike, make_run_spec


def run(
    plugin: PluginLike,
    image: ImageLike = b"",
    *,
    chunks: ChunksLike = None,
    seed: int = 0,
    config: Optional[Mapping[str, Any]] = None,
    grants: Optional[Mapping[str, Any]] = None,
    declared: Union[Declared, Mapping[str, Any], None] = None,
    findings: Optional[Mapping[str, Union[str, int, float, bool]]] = None,
    scratch: Optional[int] = None,
    may_set: Sequence[str] = ("*",),
    plugin_name: Optional[str] = None,
    sandbox: Optional[str] = None,
    plan: Optional[Mapping[str, Any]] = None,
    raise_on_failure: bool = True,
) -> Result:
    """Run `plugin` on `image` and return the result.

    `plugin`
        The class, or a text: ``"path/to/file.py:Class"`` or ``"module:Class"``.
    `image`
        Bytes; a path (str or os.PathLike); a file open for reading bytes; a list or a generator of bytes.
    `chunks`
        How the image is cut: a length in bytes, a list of lengths, :class:`Cuts` with offsets, ``"random"``, or a
        function of the offset and the number of bytes after it (None if not known) that returns the length of the
        next chunk. None: the pieces of the list or generator, or pieces of 1 MiB. A chunk has at most 1 MiB.
    `seed`
        An int, from which the lengths of ``"random"`` follow.
    `config`
        Keyword arguments of the constructor, checked as Douane checks them; a tuple counts as a list.
    `grants`
        By name: bytes or str (the content of a file), a pathlib.Path, or an open file; for a socket, a function of
        the other end, a connected ``socket.socket``, that runs in a thread of its own, or an object with
        ``serve(connection)``; or the :class:`Address` of a real service.
    `declared`
        A :class:`Declared`, or a mapping with some of its fields.
    `findings`
        The mapping ``image.findings`` of a plugin with ``reads = "findings"`` or ``"guest+findings"``, by
        ``plugin.key``.
    `scratch`
        Room for scratch files in bytes; None: there are none. In process the limit is not enforced.
    `may_set`
        The properties that the plugin may propose, as in the operator's configuration; all by default.
    `plugin_name`
        The plugin's name in the plan; by default the name of the class in lower case.
    `sandbox`
        None: in this process, where a debugger works and nothing is enforced. ``"strict"``, ``"full"``, ``"off"``: in
        that tier of Douane's sandbox; ``"best"``: in the best tier that the machine has. The sandbox loads the file of
        the class anew, so the class must be at the top level of its file.
    `plan`
        Further keys of the plugin's table in the configuration (``{"memory": "64MiB", "timeout": "5s"}``), for the
        sandbox. In process only ``socket_paths`` has an effect.
    `raise_on_failure`
        True: if the plugin fails, raise its exception here, with its own traceback. False: return a result with the
        outcome ``"failed"``.

    Raises, besides the plugin's own exception: :class:`PluginFailed` for a failure without an exception, or with one
    that cannot be raised here; :class:`WrongConfiguration`, whatever `raise_on_failure` is, where Douane would not
    start; :class:`NoSandbox`; ValueError and TypeError for wrong arguments, and ValueError if the image does not have
    the declared size; any exception of a generator or a server of the test.
    """
    __tracebackhide__ = True
    spec = make_run_spec(
        plugin,
        image,
        chunks,
        seed,
        config,
        grants,
        declared,
        findings,
        scratch,
        may_set,
        plugin_name,
        plan,
        raise_on_failure,
    )
    try:
        if sandbox is None:
            result = run_in_process(spec)
        else:
            from ._sandboxed import run_sandboxed

            result = run_sandboxed(spec, sandbox)
    finally:
        spec.source.close()
    # pytest shows the lines of a test that fails, and `caplog` has them.
    logger = logging.getLogger("douane_plugin.testing." + spec.name)
    for line in result.log:
        logger.log(line.level, "%s", line.message)
    return result
