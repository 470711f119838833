"""The exceptions by which plugins answer."""

from __future__ import annotations

CODE_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")
CODE_LENGTH = 64


def check_code(code: object) -> str:
    """Return `code` if it is 1 to 64 of ``a-z 0-9 - _ .``. Raises ValueError."""
    if not isinstance(code, str) or not 0 < len(code) <= CODE_LENGTH or not CODE_LETTERS.issuperset(code):
        raise ValueError(
            f"a code is 1 to {CODE_LENGTH} of the characters a-z 0-9 - _ . , for example 'no-boot-signature', "
            f"not {code!r:.100}"
        )
    return code


def check_message(message: object) -> str:
    """Return `message` if it is a str that is not blank. Raises ValueError."""
    if not isinstance(message, str) or not message.strip():
        raise ValueError(f"a message is a sentence for the person who uploaded the image, not {message!r:.100}")
    return message


class _Answer(Exception):
    """Private base of the answers with a code: catch the one that you mean."""

    def __init__(self, code: str, message: str) -> None:
        self.code = check_code(code)
        self.message = check_message(message)
        super().__init__(self.code, self.message)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class Reject(_Answer):
    """Raise it to refuse the image.

    `code` is for programs: 1 to 64 of ``a-z 0-9 - _ .``, stable over releases of the plugin.
    `message` is a sentence for the tenant who uploaded the image: what is wrong with it, and what to do.
    Raises ValueError if either has another form.
    """


class Incomplete(_Answer):
    """Raise it if the plugin could not read or understand all that it had to judge.

    Examples are an encrypted archive for a virus scanner, and a file that ends inside its own header. The answer is
    neither yes nor no: the operator's ``on_incomplete`` decides, by default against the image. `code` and `message`
    are as for :class:`Reject`.
    """


class Defer(Exception):
    """Raise it to say "not now": the plugin could decide later, for example when its rules have loaded.

    `retry_after` is the number of seconds, greater than 0, after which a new attempt makes sense. `message` is a
    sentence for the tenant. Until then the image stays outside. Raises ValueError if either has another form.
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
