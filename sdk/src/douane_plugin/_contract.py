"""The base classes of plugins, and the exceptions by which they answer."""

from __future__ import annotations

from ._exceptions import CODE_LENGTH, CODE_LETTERS, check_code, check_message

TYPE_CHECKING = False  # importing `typing` takes a plugin process longer than all of this package
if TYPE_CHECKING:
    import logging
    from typing import Any, ClassVar, Iterator, Mapping, Optional, Union

    from ._image import Image
    from ._scratch import Scratch

API_LEVEL = 1
"""The level of the contract that this package implements, an int. A plugin states the level it was written for in its
class attribute ``api``; Douane refuses a plugin of a level that it does not support."""

_NAME_LETTERS = CODE_LETTERS | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ:")
_NAME_LENGTH = 255
_DOCUMENT_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")
_VALUE_LENGTH = 4096


def check_proposal(name: object, value: object) -> None:
    """Raise ValueError unless `name` can be the name of a property, and `value` its value or None."""
    if not isinstance(name, str) or not 0 < len(name) <= _NAME_LENGTH or not _NAME_LETTERS.issuperset(name):
        raise ValueError(
            f"a property's name is 1 to {_NAME_LENGTH} of the characters a-z A-Z 0-9 _ . : - and not {name!r:.100}"
        )
    if value is not None and not isinstance(value, (str, int, float, bool)):
        raise ValueError(f"the value of {name} is a str, int, float or bool, or None to remove it, not {value!r:.100}")
    if isinstance(value, str) and len(value) > _VALUE_LENGTH:
        raise ValueError(f"the value of {name} has {len(value)} characters; at most {_VALUE_LENGTH} are allowed")


def check_document_name(name: object) -> str:
    """Return `name` if it is 1 to 64 of ``a-z 0-9 _``. Raises ValueError."""
    if not isinstance(name, str) or not 0 < len(name) <= CODE_LENGTH or not _DOCUMENT_LETTERS.issuperset(name):
        raise ValueError(f"a document's name is 1 to {CODE_LENGTH} of the characters a-z 0-9 _ , not {name!r:.100}")
    return name


class _Plugin:
    """The private base of :class:`Inspector` and :class:`Transform`."""

    api: ClassVar[int] = 1
    """The contract level that the plugin was written for."""

    reads: ClassVar[str] = "stream"
    """The part of the image that the plugin reads. The less it is, the less the plugin costs:

    ``"nothing"``: only the declared facts (name, size, formats, properties);
    ``"findings"``: the declared facts, and the properties that earlier plugins of the plan have set
    (:attr:`Image.findings`); the plugin gets its image when all of these have answered;
    ``"head:N"``: the first N bytes (a decimal number);
    ``"stream"``: all bytes once, in order;
    ``"random"``: a seekable file (:attr:`Image.file`) and its path, after all bytes have arrived;
    ``"guest"``: the same, and what the virtual machine will see in it (:attr:`Image.guest`): volumes, systems,
    packages, files by path. It needs ``douane-plugin[guest]``;
    ``"guest+findings"``: the same, and :attr:`Image.findings`, when all earlier plugins of the plan have answered;
    ``"files"``: every file of every volume once, in the order of the disk (:meth:`Image.files`), after all bytes have
    arrived.
    """

    _douane: Any = None  # the runtime; set before __init__ runs

    @property
    def log(self) -> logging.Logger:
        """A standard ``logging.Logger`` for the operator; each line carries the name of the plugin.

        The tenant does not see the lines. Their length, rate and total are bounded; lines above a bound are dropped
        and counted. ``print`` and standard error are captured, too.
        """
        runtime = self._douane
        if runtime is None:
            import logging

            return logging.getLogger("douane_plugin." + type(self).__name__)
        log: logging.Logger = runtime.log
        return log

    def warn(self, code: str, message: str) -> None:
        """Warn the tenant without refusing the image.

        `code` and `message` are as for :class:`Reject`. An image may get 100 warnings; one more is a failure of the
        plugin. Raises ValueError if either has another form.
        """
        check_code(code), check_message(message)
        if self._douane is None:
            self.log.warning("%s: %s", code, message)
        else:
            self._douane.warn(code, message)

    def propose(self, name: str, value: Union[str, int, float, bool, None]) -> None:
        """Propose a property of the image outside the plugin's own namespace, or, with None, its removal.

        `name` is the whole name, 1 to 255 of ``a-z A-Z 0-9 _ . : -`` (``hw_firmware_type``). `value` is as for
        properties; None removes the declared property of that name. The proposal takes effect if the image is
        accepted and the operator lists the name in the plugin's ``may_set``; proposing any other name is a failure of
        the plugin. The last value for a name counts; at most 64 names. Raises ValueError if either has another form.
        """
        check_proposal(name, value)
        if self._douane is None:
            self.log.info("proposed: %s = %r", name, value)
        else:
            self._douane.propose(name, value)

    def attach(self, name: str, document: Any) -> None:
        """Attach a document to the answer, whichever it is: data for the operator, in the report of the run.

        A document holds more than properties can, for example a list of packages. It is not published on the image,
        and the tenant does not see it. `name` is 1 to 64 of ``a-z 0-9 _``; the last document of a name counts.
        `document` is what JSON can express: dict with str keys, list, str, int (64 bits), finite float, bool, None,
        nested to at most 32 levels. An image may get 16 documents, together at most 256 KiB of JSON. Raises ValueError
        if the document has another form, or if it is too many.
        """
        check_document_name(name)
        if self._douane is None:
            self.log.info("attached: %s", name)
        else:
            self._douane.attach(name, document)

    @property
    def scratch(self) -> tuple[Scratch, ...]:
        """Two files that only the plugin sees and may write, for data that does not fit into its memory.

        They exist if the operator's configuration gives room (``scratch = "20GiB"``, the limit for both together),
        and are gone when the plugin has ended. See :class:`Scratch`. Raises LookupError if there are none.
        """
        if self._douane is None:
            raise LookupError("no scratch file: the plugin runs outside of Douane")
        files: tuple[Scratch, ...] = self._douane.scratch
        return files

    def alive(self) -> None:
        """Reset the stall clock while Douane cannot see progress, for example while a program runs.

        Reading, output and log lines reset it as well. The clock for the plugin's total time goes on. The method may
        be called at any rate: at most one message a second is sent.
        """
        if self._douane is not None:
            self._douane.alive()

    def grant(self, name: str) -> Any:
        """Return the open file, the folder or the socket that the operator's configuration binds to `name`.

        A ``file:`` grant is a file object, open for reading bytes, and its `path` is where a library or a program can
        open the same file. A ``dir:`` grant is an ``os.PathLike`` with the folder's `path`: the plugin can read all
        that is in it. A ``unix:`` or ``tcp:`` grant is a connected ``socket.socket``. Every call returns the same
        object. Raises LookupError, with the names of all grants, if there is none of that name.
        """
        if self._douane is None:
            raise LookupError(f"no grant named {name!r}: the plugin runs outside of Douane")
        return self._douane.grant(name)


class Inspector(_Plugin):
    """A plugin that reads an image and decides. Derive from it, and write :meth:`inspect`.

    The configuration is the constructor: an operator may set its parameters, by their names and types, under
    ``config``. :attr:`log`, :meth:`warn` and :meth:`grant` work in the constructor, too.
    """

    def inspect(self, image: Image) -> Optional[Mapping[str, Union[str, int, float, bool]]]:
        """Read `image`; return to accept it, raise :class:`Reject` to refuse it.

        Return None or a mapping of properties: at most 64 keys, each 1 to 64 of ``a-z 0-9 _``; values are str (at
        most 4096 characters), int, float or bool. They are published in the plugin's own namespace. A return before
        the end of the image means that the plugin has seen enough: no more bytes are sent. Any exception other than
        :class:`Reject`, :class:`Defer` and :class:`Incomplete` is a failure of the plugin, and the operator's
        ``on_error`` decides.
        """
        raise TypeError(f"{type(self).__name__} has no inspect(self, image)")


class Transform(_Plugin):
    """A plugin that reads an image and makes a new one. Derive from it, and write :meth:`transform`."""

    def transform(self, image: Image) -> Iterator[Union[bytes, bytearray, memoryview]]:
        """Read `image` and yield the bytes of the new image in order: a generator.

        Yield any bytes-like objects; an empty one has no effect. Call ``image.becomes(...)`` to state the format of
        the new image. To leave the image as it is, at no cost, call ``image.unchanged()`` before the first yield and
        return. Raise :class:`Reject`, :class:`Defer` or :class:`Incomplete` as in an inspector. A generator that ends
        without a yield and without ``image.unchanged()`` has made an empty image.
        """
        raise TypeError(f"{type(self).__name__} has no transform(self, image)")
