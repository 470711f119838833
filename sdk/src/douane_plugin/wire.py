"""The numbers of the conversation between the engine and a plugin process.

A frame is a header, two little-endian unsigned 32-bit integers (type, length of the payload in bytes),
and the payload: UTF-8 JSON, or for the frames marked *binary* little-endian unsigned 64-bit integers.
The channel is a connected Unix stream socket. The engine speaks first.

Authors of a runtime in another language need this module; authors of plugins do not.
"""

LEVEL = 1
HEADER_BYTES = 8
MAX_PAYLOAD = 4 << 20
"""Longest payload, in bytes, of a frame that the plugin sends; so it bounds a plugin's part of a report, too. The
engine's LOAD may be longer."""

# plugin -> engine
CAGED = 1  # JSON; sent by the launcher before any code of the plugin is loaded
DESCRIBED = 2  # JSON: level, kind, reads and parameters of the class, before it is instantiated
READY = 3  # empty: the constructor has returned
RELEASE = 4  # binary: image offset up to which the plugin has released the bytes
PROGRESS = 5  # binary: image offset reached; resets the stall clock
LOG = 6  # JSON: level (as in the logging module), message
WARN = 7  # JSON: code, message
BECOMES = 8  # JSON: disk_format, container_format, properties (transforms)
UNCHANGED = 9  # empty: the image stays as it is (transforms, before any output)
BEGIN = 10  # empty: the transform's first output follows, so UNCHANGED cannot
ALIVE = 11  # empty: the plugin works, though no other frame shows it; resets the stall clock
IDLE = 12  # empty: the answer is complete, and the process can serve another image (only if LOAD has "reuse")
ACCEPT = 16  # JSON: properties, proposed, documents, seen; the last frame of the conversation, like all below
REFUSE = 17  # JSON: code, message, documents
DEFER = 18  # JSON: retry_after (s), message, documents
INCOMPLETE = 19  # JSON: code, message, documents
FAILED = 20  # JSON: stage (load | configure | run), kind, message, trace (for the operator)

# engine -> plugin
LOAD = 64  # JSON: see docs/wire.md
IMAGE = 65  # JSON: name, size, disk_format, container_format, properties, owner, roles, findings, ring (index)
DATA = 66  # binary: image offset, offset in the ring, length
HOLE = 67  # binary: image offset, length; the bytes are zero and not in the ring
END = 68  # binary: image offset, 1 if the image goes on after it (`head:N`) else 0
NEXT = 69  # JSON: the descriptors for another image, which come with it; only after IDLE

TYPES = {value: name for name, value in list(globals().items()) if name.isupper() and isinstance(value, int)}

MAX_PROPERTIES = 64
MAX_PROPERTY_KEY = 64
MAX_PROPERTY_TEXT = 4096
MAX_PROPOSED_NAME = 255
MAX_DOCUMENTS = 16
MAX_DOCUMENTS_BYTES = 256 << 10
MAX_DOCUMENT_DEPTH = 32
MAX_WARNINGS = 100
MAX_LOG_TEXT = 8192
MAX_MESSAGE = 1000

# Records of `reads = "files"`: the bytes of the ring are a sequence of them. A record is a header as that of a frame,
# and the payload.
RECORD_VOLUME = 1  # JSON: name, filesystem, uuid, label, clean; all of them precede the first RECORD_ENTRY
RECORD_ENTRY = 2  # ENTRY_FORMAT, and the byte strings whose lengths it has
RECORD_DATA = 3  # bytes of the current file, at the current position
RECORD_HOLE = 4  # u64: that many zeros of the current file
RECORD_END_OF_FILE = 5  # sha256 of the current file, 32 bytes; empty if it could not be read whole
RECORD_UNREAD = 6  # JSON: place, code, why; anywhere
RECORD_END = 7  # u64 entries, u64 unread parts; the last record

RECORD_TYPES = {
    RECORD_VOLUME: "RECORD_VOLUME",
    RECORD_ENTRY: "RECORD_ENTRY",
    RECORD_DATA: "RECORD_DATA",
    RECORD_HOLE: "RECORD_HOLE",
    RECORD_END_OF_FILE: "RECORD_END_OF_FILE",
    RECORD_UNREAD: "RECORD_UNREAD",
    RECORD_END: "RECORD_END",
}
MAX_RECORD = 1 << 20
"""Longest payload of a record, in bytes."""

ENTRY_FORMAT = "<QqIIIHHIII"
"""As for Python's `struct`: size, mtime_ns, mode, uid, gid, kind, and the lengths in bytes of the name of the volume,
of the path, of the link's target and of the path of which the entry is a further name. These four follow, in this
order."""

ENTRY_KINDS = {8: "file", 4: "dir", 10: "link", 1: "fifo", 12: "socket", 2: "char", 6: "block"}
"""The numbers of readdir(3)."""
