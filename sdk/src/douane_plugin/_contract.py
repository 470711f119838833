"""The classes that a plugin's author derives from, and the answers that they raise."""

from __future__ import annotations

TYPE_CHECKING = False  # importing `typing` costs a caged process more than all of this package
if TYPE_CHECKING:
    import logging
    from typing import Any, ClassVar, Iterator, Mapping, Optional, Union

    from ._image import Image
    from ._scratch import Scratch

API_LEVEL = 1
"""The level of the contract that this package offers, an integer. A plugin states the one it was written
for in its class attribute ``api``; an engine that does not know that level refuses the plugin."""

_CODE_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")
_CODE_LENGTH = 64
_NAME_LETTERS = _CODE_LETTERS | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ:")
_NAME_LENGTH = 255
_VALUE_LENGTH = 4096


def check_code(code: object) -> str:
    """Return `code` if it is usable by a program: 1 to 64 of ``a-z 0-9 - _ .``; else raise ValueError."""
    if not isinstance(code, str) or not 0 < len(code) <= _CODE_LENGTH or not _CODE_LETTERS.issuperset(code):
        raise ValueError(
            f"a code is 1 to {_CODE_LENGTH} of the characters a-z 0-9 - _ . and is meant for programs, "
            f"for example 'no-boot-signature'; this one is {code!r:.100}"
        )
    return code


def check_message(message: object) -> str:
    """Return `message` if it is a text that a person can read; else raise ValueError."""
    if not isinstance(message, str) or not message.strip():
        raise ValueError(f"a message is a sentence for the person who uploaded the image, not {message!r:.100}")
    return message


def check_proposal(name: object, value: object) -> None:
    """Raise ValueError unless `name` can be a property's name, and `value` its value or None."""
    if not isinstance(name, str) or not 0 < len(name) <= _NAME_LENGTH or not _NAME_LETTERS.issuperset(name):
        raise ValueError(
            f"a property's name is 1 to {_NAME_LENGTH} of the characters a-z A-Z 0-9 _ . : - and not {name!r:.100}"
        )
    if value is not None and not isinstance(value, (str, int, float, bool)):
        raise ValueError(f"the value of {name} is a str, int, float or bool, or None to remove it, not {value!r:.100}")
    if isinstance(value, str) and len(value) > _VALUE_LENGTH:
        raise ValueError(f"the value of {name} has {len(value)} characters; at most {_VALUE_LENGTH} are allowed")


class _Answer(Exception):
    """Base of the answers. Not public: catch the one you mean."""

    def __init__(self, code: str, message: str) -> None:
        self.code = check_code(code)
        self.message = check_message(message)
        super().__init__(self.code, self.message)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class Reject(_Answer):
    """Raise it to refuse the image.

    `code` is for programs: 1 to 64 of ``a-z 0-9 - _ .``, stable over releases of the plugin.
    `message` is a sentence for the tenant who uploaded the image: what is wrong with it and what to do.
    Raises ValueError if either is not of that form.
    """


class Incomplete(_Answer):
    """Raise it when the plugin could not see or understand all that it had to judge.

    An encrypted archive for a virus scanner, a file that ends inside its own header. It is neither yes nor
    no; the operator's ``on_incomplete`` decides what becomes of it, by default not an accept. `code` and
    `message` as for :class:`Reject`.
    """


class Defer(Exception):
    """Raise it to say "not now": the plugin could decide later, for example when its rules have loaded.

    `retry_after` is the number of seconds, greater than 0, after which a new attempt makes sense;
    `message` is a sentence for the tenant. The image is not let in meanwhile. Raises ValueError if
    either is not of that form.
    """

    code = "deferred"

    def __init__(self, retry_after: float, message: str) -> None:
        if (
            isinstance(retry_after, bool)
            or not isinstance(retry_after, (int, float))
            or not 0 < retry_after < float("inf")
        ):
            raise ValueError(f"retry_after is a number of seconds greater than 0, not {retry_after!r:.100}")
        self.retry_after = float(retry_after)
        self.message = check_message(message)
        super().__init__(self.retry_after, self.message)

    def __str__(self) -> str:
        return f"not before {self.retry_after:g} s: {self.message}"


class _Plugin:
    """What :class:`Inspector` and :class:`Transform` share. Not public."""

    api: ClassVar[int] = 1
    """The contract level the plugin was written for."""

    reads: ClassVar[str] = "stream"
    """What the plugin wants of the image, the less the cheaper:

    ``"nothing"``: only what was declared (name, size, formats, properties);
    ``"findings"``: the same, and what the plugins that stand before it in the plan have found
    (:attr:`Image.findings`); it gets its image when they have all accepted;
    ``"head:N"``: the first N bytes (a decimal number);
    ``"stream"``: all bytes once, in order;
    ``"random"``: a seekable file (:attr:`Image.file`) and its path, after all bytes have arrived.
    """

    _douane: Any = None  # the runtime binds itself here before __init__ runs

    @property
    def log(self) -> logging.Logger:
        """A standard ``logging.Logger`` whose lines reach the operator, with the plugin's name on each.

        The tenant does not see them. Lines are bounded in length, rate and total; what is over is dropped
        and said so once. ``print`` and stderr are captured too.
        """
        runtime = self._douane
        if runtime is None:
            import logging

            return logging.getLogger("douane_plugin." + type(self).__name__)
        log: logging.Logger = runtime.log
        return log

    def warn(self, code: str, message: str) -> None:
        """Tell the tenant something without refusing the image.

        `code` and `message` as for :class:`Reject`. At most 100 warnings an image are kept; one more is a
        failure of the plugin. Raises ValueError if either is not of the right form.
        """
        check_code(code), check_message(message)
        if self._douane is None:
            self.log.warning("%s: %s", code, message)
        else:
            self._douane.warn(code, message)

    def propose(self, name: str, value: Union[str, int, float, bool, None]) -> None:
        """Propose a property of the image outside the plugin's own namespace, or with None that it be removed.

        `name` is the whole name, 1 to 255 of ``a-z A-Z 0-9 _ . : -`` (``hw_firmware_type``); `value` is as for
        properties, None removes what was declared under that name. It is applied if the image is accepted and the
        operator has listed the name in the plugin's ``may_set``; a name that is not listed is a failure of the
        plugin. The last value for a name counts; at most 64 names. Raises ValueError if either is not of that form.
        """
        check_proposal(name, value)
        if self._douane is None:
            self.log.info("proposed: %s = %r", name, value)
        else:
            self._douane.propose(name, value)

    @property
    def scratch(self) -> tuple[Scratch, ...]:
        """Two files that this plugin alone may write, for what does not fit into its memory; empty at first.

        They are there if the operator gave the plugin room (``scratch = "20GiB"``), which is the bound for both
        together; they are gone when the plugin has ended. See :class:`Scratch`. Raises LookupError if there is none.
        """
        if self._douane is None:
            raise LookupError("no scratch file: the plugin runs outside of Douane")
        files: tuple[Scratch, ...] = self._douane.scratch
        return files

    def alive(self) -> None:
        """Say that the plugin is at work, where nothing else shows it: a program that it waits for, for example.

        It sets the stall clock back, as reading, output and log lines do. The clock for all of the plugin's time
        goes on. It may be called as often as one likes; at most one message a second is sent.
        """
        if self._douane is not None:
            self._douane.alive()

    def grant(self, name: str) -> Any:
        """Return the already open thing that the operator bound to `name` in the configuration.

        ``file:`` grants give a file object opened for reading bytes; ``unix:`` and ``tcp:`` grants give a
        connected ``socket.socket``. It is the same object each time. Raises LookupError, naming what was
        granted, if the operator bound nothing to that name.
        """
        if self._douane is None:
            raise LookupError(f"no grant named {name!r}: the plugin runs outside of Douane")
        return self._douane.grant(name)


class Inspector(_Plugin):
    """Reads an image and decides. Derive from it, and write :meth:`inspect`.

    The configuration is the constructor: the names, types and defaults of its parameters are what an
    operator may write under ``config``. :attr:`log`, :meth:`warn` and :meth:`grant` work inside it too.
    """

    def inspect(self, image: Image) -> Optional[Mapping[str, Union[str, int, float, bool]]]:
        """Look at `image`; return to accept it, raise :class:`Reject` to refuse it.

        Returns None or a mapping of properties: keys of ``a-z 0-9 _`` (64 at most, each 1 to 64 long),
        values str (4096 characters at most), int, float or bool. They are published in the plugin's own
        namespace. Returning before the end of the data means "I have seen enough": no more bytes are sent.
        Any other exception than :class:`Reject`, :class:`Defer` and :class:`Incomplete` is a failure of the
        plugin, and the operator's ``on_error`` decides.
        """
        raise TypeError(f"{type(self).__name__} has no inspect(self, image)")


class Transform(_Plugin):
    """Reads an image and makes another of it. Derive from it, and write :meth:`transform`."""

    def transform(self, image: Image) -> Iterator[Union[bytes, bytearray, memoryview]]:
        """A generator: read `image`, yield the bytes of the new image, in order.

        What is yielded is any bytes-like object; an empty one is allowed and means nothing. Call
        ``image.becomes(...)`` to say what the result is, and ``image.unchanged()`` followed by ``return``,
        before the first yield, when there is nothing to do: that costs nothing. Raise :class:`Reject`,
        :class:`Defer` or :class:`Incomplete` as in an inspector. A generator that ends without having
        yielded anything and without ``image.unchanged()`` has made an empty image.
        """
        raise TypeError(f"{type(self).__name__} has no transform(self, image)")
