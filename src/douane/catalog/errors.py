"""What the catalog refuses or cannot do: a sentence for a person, a code for a machine."""


class CatalogError(Exception):
    """The catalog could not do what was asked; ``str()`` of it is one sentence that says what to do.

    ``code`` is one of ``bad-value``, ``reserved``, ``ambiguous``, ``catalog-full``, ``catalog-unwritable``,
    ``catalog-busy``, ``catalog-damaged``, ``catalog-newer``, ``catalog-foreign``, ``catalog-io``; subclasses
    have their own.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class NotFound(CatalogError):
    """There is no such image or task (``code`` is ``not-found``)."""

    def __init__(self, message: str) -> None:
        super().__init__("not-found", message)


class Conflict(CatalogError):
    """The image or task is not as the caller expected; nothing was changed.

    ``code`` is ``wrong-state`` (the image is in another state), ``lost-task`` (the task ended, or another
    worker took it over: whoever gets this must stop and discard) or ``exists``. ``found`` and ``expected``
    are state names, or short phrases.
    """

    def __init__(self, code: str, message: str, *, found: str, expected: str) -> None:
        super().__init__(code, message)
        self.found = found
        self.expected = expected
