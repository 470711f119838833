"""Every error that Douane raises on purpose, and the code and the exit code of each.

* DouaneError                    ``error``, exit code 3
  * PlanError                    ``wrong-configuration``, exit code 2
  * SandboxError                 ``sandbox-failed``
    + SandboxUnavailable
    + GrantReplaced
  * GrantUnavailable             ``grant-unavailable``
  * SourceError                  ``unreadable``, or one of its `codes`
  * LimitExceeded                ``transform-limit``
  * DeadlineExceeded             ``deadline``
  * SinkError                    ``store-failed``, or one of its `codes`
    + ImageDeleted               ``image-deleted``
  * StoreError                   ``store-io``, or one of its `codes`
  * CatalogError                 ``catalog-io``, or one of its `codes`
    + BadValue                   ``bad-value``
    + NotFound                   ``not-found``
    + Protected                  ``protected``
    + OverQuota                  ``over-quota``
    + Conflict                   ``wrong-state``, or one of its `codes`
  * AgentError                   ``agent-protocol``, or the code that the agent sent
    + AgentUnavailable           ``agent-unavailable``
    + ClientGone                 ``client-gone``
  * EvidenceError                ``not-signed``
  * NotVerified                  ``summary-invalid``, or one of its `codes`, exit code 1
  * NotPrinted                   ``not-printed``
  * UploadError                  ``upload-failed``, or one of its `codes`
  * NotShown                     ``not-shown``, or the code of the report
  * NoInventory                  ``no-inventory``
  * KitMissing                   ``not-run``

``str()`` of an error is one sentence: what happened, to what, and what to do next. docs/exit-codes.md explains every
code. This module imports nothing: the command line loads it before anything else.
"""

from __future__ import annotations


class DouaneError(Exception):
    """Base of all errors. `code` is for programs, `exit_code` is that of the command line."""

    code: str = "error"
    exit_code: int = 3
    codes: frozenset[str] = frozenset()
    """The other codes that an instance may have."""

    def __init__(self, message: str, *, code: str | None = None) -> None:
        """`code` is one of `codes`; by default, the code of the class."""
        super().__init__(message)
        if code is not None:
            self.code = code


class PlanError(DouaneError):
    """The configuration or the command line is wrong; nothing was read."""

    code = "wrong-configuration"
    exit_code = 2


class SandboxError(DouaneError):
    """A sandbox could not be built, or did not hold when it tested itself."""

    code = "sandbox-failed"


class SandboxUnavailable(SandboxError):
    """This machine does not give the tier that was requested; the message names the missing layer."""


class GrantReplaced(SandboxError):
    """A granted file or folder was replaced while the sandbox was built: another attempt shows the plugin the new."""


class GrantUnavailable(DouaneError):
    """The other side of a granted connection does not answer."""

    code = "grant-unavailable"


class SourceError(DouaneError):
    """The image could not be read, or changed while it was read.

    On the web: ``not-allowed`` is a URL that the operator's rules refuse, ``not-downloaded`` a server that cannot be
    reached or does not have the image, ``wrong-digest`` an image with another digest than the URL asks for.
    """

    code = "unreadable"
    codes = frozenset({
        "truncated", "longer-than-announced", "changed-while-read", "too-slow", "not-allowed", "not-downloaded",
        "wrong-digest",
    })  # fmt: skip


class LimitExceeded(DouaneError):
    """A transform's output went over a limit of the operator's."""

    code = "transform-limit"


class DeadlineExceeded(DouaneError):
    """The import as a whole took longer than its deadline."""

    code = "deadline"


class SinkError(DouaneError):
    """The image could not be written to its destination, or to a temporary file on the way."""

    code = "store-failed"
    codes = frozenset({"temporary-full", "temporary-unusable", "output-closed", "output-failed"})


class ImageDeleted(SinkError):
    """The image was deleted while it was being imported."""

    code = "image-deleted"


class StoreError(DouaneError):
    """The store could not do what was requested."""

    code = "store-io"
    codes = frozenset({
        "store-another", "store-away", "store-full", "store-unwritable", "store-unreadable", "store-busy", "not-found",
        "exists", "in-use", "image-in-use", "bad-name", "not-finished", "damaged", "target-full", "target-unwritable",
        "target-io", "target-closed",
    })  # fmt: skip


class CatalogError(DouaneError):
    """The catalog could not do what was requested."""

    code = "catalog-io"
    codes = frozenset({
        "reserved", "ambiguous", "catalog-full", "catalog-unwritable", "catalog-busy", "catalog-damaged",
        "catalog-newer", "catalog-foreign",
    })  # fmt: skip


class BadValue(CatalogError):
    """A value that the catalog cannot keep."""

    code = "bad-value"


class NotFound(CatalogError):
    """There is no such image or task."""

    code = "not-found"


class Protected(CatalogError):
    """The image is protected, and cannot be deleted."""

    code = "protected"


class OverQuota(CatalogError):
    """A change would add more to the image than is allowed."""

    code = "over-quota"


class Conflict(CatalogError):
    """The image or task is not in the state that the caller expects; nothing was changed.

    ``wrong-state``: the image or task is in another state. ``lost-task``: the task ended, or another worker took it
    over, so the worker must stop and discard its bytes. ``exists``: the id was used before, or the project is a member.
    ``not-shared``: an image of another visibility has no members. ``property-exists``, ``property-missing``: an edit
    required the contrary. ``last-copy``: no other store holds the image. `actual` and `expected` are state names, or
    short phrases.
    """

    code = "wrong-state"
    codes = frozenset({"lost-task", "exists", "not-shared", "property-exists", "property-missing", "last-copy"})

    def __init__(self, message: str, *, code: str | None = None, actual: str, expected: str) -> None:
        super().__init__(message, code=code)
        self.actual = actual
        self.expected = expected


class AgentError(DouaneError):
    """The agent could not inspect the image. `retry_after` is in seconds, or None."""

    code = "agent-protocol"
    codes = frozenset({"busy", "too-slow"})
    retry_after: float | None = None

    def __init__(self, message: str, *, code: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class AgentUnavailable(AgentError):
    """The agent does not run, or went away."""

    code = "agent-unavailable"


class ClientGone(AgentError):
    """The client of the agent closed its connection before the outcome."""

    code = "client-gone"


class EvidenceError(DouaneError):
    """The key of ``[evidence]`` cannot sign now: the image is not let in without its summary.

    ``bill-not-kept``: nor without its bill of materials, where Glance keeps those.
    """

    code = "not-signed"
    codes = frozenset({"bill-not-kept"})


class NotVerified(DouaneError):
    """A summary is not genuine, or not about these bytes."""

    code = "summary-invalid"
    exit_code = 1
    codes = frozenset({"summary-untrusted", "summary-verifier", "summary-subject", "summary-result"})


class NotPrinted(DouaneError):
    """The image is active, but its id could not be printed."""

    code = "not-printed"


class UploadError(DouaneError):
    """`douane upload` could not bring the image to the service, or does not know whether it did.

    ``not-authorized``: Keystone or the service does not let the user. ``request-refused``: the service refused what was
    requested, such as a name. ``service-away``: it could not be reached for too long. ``sums-differ``: the image in the
    service has other bytes than the file.
    """

    code = "upload-failed"
    codes = frozenset({"not-authorized", "request-refused", "service-away", "sums-differ"})


class NotShown(DouaneError):
    """A command that shows an image could not read it, or what was requested is not in it.

    `code` and `exit_code` are those of the run.
    """

    code = "not-shown"

    def __init__(self, message: str, *, code: str | None = None, exit_code: int = 3) -> None:
        super().__init__(message, code=code)
        self.exit_code = exit_code


class NoInventory(DouaneError):
    """No import of an image has kept a list of its packages that can be used."""

    code = "no-inventory"


class KitMissing(DouaneError):
    """The distribution douane-kit is not installed."""

    code = "not-run"
