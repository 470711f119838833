"""`run`: one plugin, one image, one result."""

from __future__ import annotations

import logging
from typing import Any, Mapping, Optional, Sequence, Union

from ._here import run_here
from ._order import Declared, PluginLike, make_order
from ._pieces import ChunksLike, ImageLike
from ._result import Result


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
    """Run `plugin` on `image` and return what came of it.

    `plugin`
        The class, or a text: ``"path/to/file.py:Class"`` or ``"module:Class"``.
    `image`
        Bytes; a path (str or os.PathLike); a file open for reading bytes; a list or a generator of bytes.
    `chunks`
        How the image is cut: a length in bytes, a list of lengths, :class:`Cuts` with offsets, ``"random"``, or a
        function that is given the offset and the bytes left (None if not known) and returns the length of the next
        chunk. None: as it comes, in pieces of 1 MiB, or those of the generator or list. No chunk has more than 1 MiB.
    `seed`
        An int: what the lengths of ``"random"`` begin with.
    `config`
        Keyword arguments of the constructor, checked as Douane checks them; a tuple counts as a list.
    `grants`
        By name: bytes or str (what is in a file), a pathlib.Path, an open file; for a socket a function that is given
        the other end, a connected ``socket.socket``, in a thread of its own, or an object with ``serve(connection)``.
    `declared`
        A :class:`Declared`, or a mapping with some of its fields.
    `findings`
        What ``image.findings`` holds for a plugin with ``reads = "findings"``, by ``plugin.key``.
    `scratch`
        Bytes of room for scratch files; None: there are none. In process the bound is not enforced.
    `may_set`
        What it may propose, as the operator writes it; all by default.
    `plugin_name`
        Its name in the plan; by default the name of the class in small letters.
    `sandbox`
        None: in this process, where a debugger works and nothing is enforced. ``"strict"``, ``"full"``, ``"off"``: by
        Douane, in a cage of that tier; ``"best"``: of the best tier that this machine has. A class must stand at the
        top of its file then, and the file is loaded anew.
    `plan`
        Further keys of the plugin's table in the operator's file (``{"memory": "64MiB", "timeout": "5s"}``), for the
        sandbox. In process they are of no effect.
    `raise_on_failure`
        True: if the plugin fails, what it raised is raised here, with its own traceback. False: that is a result with
        the outcome ``"failed"``.

    Raises, besides the plugin's own exception: :class:`PluginFailed` if there is none, or none that could be had;
    :class:`WrongConfiguration`, whatever `raise_on_failure` says, as Douane would not start; :class:`NoSandbox`;
    ValueError and TypeError for wrong arguments, and ValueError if the image has not the declared size; what a
    generator or a server of the test's raised.
    """
    __tracebackhide__ = True
    order = make_order(
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
            result = run_here(order)
        else:
            from ._caged import run_caged

            result = run_caged(order, sandbox)
    finally:
        order.source.close()
    # So that pytest shows them where a test fails, and `caplog` has them.
    logger = logging.getLogger("douane_plugin.testing." + order.name)
    for line in result.log:
        logger.log(line.level, "%s", line.message)
    return result
