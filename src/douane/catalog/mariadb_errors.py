"""What the numbers of MariaDB's errors mean for the catalog (its documentation, "MariaDB Error Code Reference")."""

from douane.errors import CatalogError

DEADLOCK = 1213
_BUSY = frozenset({
    1020,  # the row has changed since the transaction's snapshot
    1205,  # a lock was waited for too long
    DEADLOCK,  # in a cluster another node's transaction came first, which may show at COMMIT
    1305,  # a savepoint is gone: the same, of a transaction that had one
    1412,  # a table was changed by a migration
})  # fmt: skip
_NO_ROOM_FOR_CONNECTIONS = frozenset({1040, 1203, 1226, 1041, 1135})
_FULL = frozenset({1021, 1114})
_DAMAGED = frozenset({1033, 1034, 1035, 1194, 1195, 1712, 1877, 1932})
_READ_ONLY = frozenset({1290, 1792, 1836})
_UNWRITABLE = _READ_ONLY | {1044, 1045, 1049, 1130, 1142, 1143, 1227, 1665, 1698}
_NO_SUCH_DATABASE, _NO_DATABASE_NAMED = 1049, 1046
_WRONG_CREDENTIALS = frozenset({1045, 1698})
_CLUSTER = 1047
"""The node does not belong to the part of the cluster that may answer."""
_SAYS_VALUES = frozenset({1062, 1452, 1366, 1406, 4025})
"""Errors whose text quotes the values of rows."""
_TEXT_LIMIT = 300

_ANOTHER_NODE = frozenset({_CLUSTER, 1053, 1927, *_READ_ONLY})


def explained(error: BaseException | None, name: str) -> CatalogError:
    """The CatalogError for an error of the driver or of the system."""
    number, words = _parts(error)
    code, advice = _reason(number, words)
    return CatalogError(f"the catalog {name} failed ({words}); {advice}", code=code)


def is_connection_of_no_use(error: BaseException | None) -> bool:
    """True if another connection may reach a node that answers, or that may be written: after a failover."""
    return _parts(error)[0] in _ANOTHER_NODE


def _parts(error: BaseException | None) -> tuple[int, str]:
    """The number, and the text without the values of rows."""
    match getattr(error, "args", ()):
        case (int(number), *_) if number in _SAYS_VALUES:
            return number, f"error {number}"
        case (int(number), words, *_):
            return number, str(words)[:_TEXT_LIMIT]
    return 0, str(error)[:_TEXT_LIMIT]


def _reason(number: int, words: str) -> tuple[str, str]:
    if number in _BUSY:
        return "catalog-busy", "other transactions held it for long; try again"
    if number in _NO_ROOM_FOR_CONNECTIONS:
        return "catalog-busy", "the server has no resources left; try again, or allow more connections"
    if number in _FULL or "No space left on device" in words or "error 28" in words:
        return "catalog-full", "make room on the server's disk, then try again"
    if number in _DAMAGED:
        return "catalog-damaged", "look at the server's log; the database may have to be restored from a backup"
    if number == 1665:
        return "catalog-unwritable", "set binlog_format of the server to ROW or MIXED"
    if number == _NO_SUCH_DATABASE:
        return "catalog-unwritable", "make the database (CREATE DATABASE), or name another in [serve] database"
    if number == _NO_DATABASE_NAMED:
        return "catalog-unwritable", "name the database in [serve] database: mysql://HOST/DATABASE"
    if number in _WRONG_CREDENTIALS:
        return "catalog-unwritable", "correct the user or the password, or give the user the right to connect"
    if number in _UNWRITABLE:
        return "catalog-unwritable", "give its user the right to connect, to make and to change tables, and to write"
    if number == _CLUSTER:
        return "catalog-io", "see that the node has joined the cluster, and that the cluster has a quorum"
    return "catalog-io", "see that the server runs and can be reached, and look at its log"
