"""What a plugin sees of an image."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO, Iterator, Mapping, Optional, Protocol, Union

    class _Source(Protocol):
        ended: bool
        goes_on: bool

        def take(self) -> Optional[memoryview]: ...


_read_only: Any = type(vars(type))  # types.MappingProxyType, without the import


class Image:
    """An image on its way in: what was declared of it, and its bytes, once and in order.

    Plugins are handed one; they never make one. Everything is read-only. :meth:`read`, iteration and
    :meth:`windows` share one position, :attr:`offset`.
    """

    def __init__(
        self,
        facts: Mapping[str, Any],
        source: _Source,
        *,
        reads: str = "stream",
        file: Any = None,
        path: Optional[str] = None,
        transforms: Any = None,
    ) -> None:
        self._facts = dict(facts)
        self._properties: Mapping[str, str] = _read_only(dict(facts.get("properties") or {}))
        self._findings: Mapping[str, Any] = _read_only(dict(facts.get("findings") or {}))
        self._source = source
        self._reads = reads
        self._file = file
        self._path = path
        self._transforms = transforms
        self._chunk: Optional[memoryview] = None  # what is left of the current chunk
        self._given: Optional[memoryview] = None  # the view that the plugin holds now
        self._offset = 0

    @property
    def name(self) -> Optional[str]:
        """The image's name as declared, or None."""
        return self._facts.get("name")

    @property
    def size(self) -> Optional[int]:
        """Number of bytes of the image as it arrives, or None where that is not known before the end."""
        return self._facts.get("size")

    @property
    def disk_format(self) -> Optional[str]:
        """The disk format (``"qcow2"``, ``"raw"``, ...) as declared, or None: a claim, not a fact.

        For ``reads = "random"``, where a `format` inspector stands beside the plugin, what that one found.
        """
        return self._facts.get("disk_format")

    @property
    def container_format(self) -> Optional[str]:
        """The container format as declared (``"bare"``, ``"ova"``, ...), or None. A claim, not a fact."""
        return self._facts.get("container_format")

    @property
    def properties(self) -> Mapping[str, str]:
        """The image's properties as declared: a read-only mapping of str to str."""
        return self._properties

    @property
    def owner(self) -> Optional[str]:
        """Whose image it is to be, by the id of the project (tenant), or None where nobody said so."""
        return self._facts.get("owner")

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles of the user who sends the image, as the identity service names them; empty if not known."""
        return tuple(self._facts.get("roles") or ())

    @property
    def findings(self) -> Mapping[str, Union[str, int, float, bool]]:
        """What the plugins before this one found: a read-only mapping of their properties, ``plugin.key``.

        Only for ``reads = "findings"``; else empty, as all plugins that read run at once.
        """
        return self._findings

    @property
    def offset(self) -> int:
        """Number of bytes handed out so far."""
        return self._offset

    def __iter__(self) -> Image:
        return self

    def __next__(self) -> memoryview:
        """The next chunk: a read-only ``memoryview`` of bytes, never empty.

        How long chunks are is not part of the contract. A chunk is valid until the next one is asked for
        (by any method); using it later raises ValueError. A slice of it, or an array over it, that is still
        alive two chunks later raises BufferError here: copy what you keep, ``bytes(chunk[a:b])``.
        """
        chunk = self._next_piece()
        if chunk is None:
            raise StopIteration
        self._chunk = None
        self._given = chunk
        self._offset += len(chunk)
        return chunk

    def read(self, n: int) -> bytes:
        """Return the next `n` bytes as ``bytes``; fewer only at the end of the image, ``b""`` after it.

        Raises ValueError if `n` is negative or no int, and if it asks for bytes beyond those that the plugin
        declared (``reads = "head:N"``) of an image that has them.
        """
        if isinstance(n, bool) or not isinstance(n, int) or n < 0:
            raise ValueError(f"read(n) takes a number of bytes, 0 or more, not {n!r:.100}")
        parts = []
        while n:
            chunk = self._next_piece()
            if chunk is None:
                if self._source.goes_on:
                    raise ValueError(
                        f"reads = {self._reads!r}, but the plugin asked for bytes beyond that; "
                        "declare what you read, or read less"
                    )
                break
            part = bytes(chunk[:n])
            self._chunk = chunk[len(part) :] if len(part) < len(chunk) else None
            chunk.release()
            n -= len(part)
            self._offset += len(part)
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def windows(self, size: int, overlap: int = 0) -> Iterator[memoryview]:
        """Iterate over the rest of the image in windows of `size` bytes, each repeating `overlap` of the last.

        Window number k begins k * (size - overlap) bytes after the present position, however the chunks
        fall, and only the last may be shorter; so whatever is at most `overlap` + 1 bytes long stands whole
        in at least one window. Windows are read-only ``memoryview`` objects of bytes with the validity of
        chunks. Nothing is yielded at the end of an image. Raises ValueError unless
        0 <= `overlap` < `size`.
        """
        for value in (size, overlap):
            if isinstance(value, bool) or not isinstance(value, int):
                raise ValueError(f"windows(size, overlap) takes numbers of bytes, not {value!r:.100}")
        if not 0 <= overlap < size:
            raise ValueError(f"windows(size, overlap) needs 0 <= overlap < size, not {size} and {overlap}")
        return self._windows(size, overlap)

    def _windows(self, size: int, overlap: int) -> Iterator[memoryview]:
        step = size - overlap
        # From the beginning of the next window up to the chunk, and what of the chunk belongs to windows that begin
        # there: only those are copied, into memory that is used again. With a new buffer for each, the kernel's zeroed
        # pages took five times as long as the search in them.
        joined = bytearray()
        before = 0  # bytes of it; fewer than a window has
        unseen = 0  # bytes after the end of the last window
        while True:
            chunk = self._next_piece()
            if chunk is None:
                break
            self._chunk = None
            length = len(chunk)
            self._offset += length
            unseen += length
            at = -before  # where the next window begins, counted from the chunk
            if before:
                more = min(length, size - (before % step or step))  # to the end of the last one that begins before it
                joined = _room(joined, before, before + more)
                with memoryview(joined) as room:
                    room[before : before + more] = chunk[:more]
                while at < 0 and at + size <= length:
                    unseen = length - (at + size)
                    yield self._give(memoryview(joined).toreadonly()[at + before : at + before + size])
                    at += step
            while at >= 0 and at + size <= length:
                unseen = length - (at + size)
                yield self._give(chunk[at : at + size])
                at += step
            self._take_back()
            left = length - at
            joined = _room(joined, before + length if at < 0 else 0, left)
            with memoryview(joined) as room:
                room[:left] = chunk[at:] if at >= 0 else room[at + before : at + before + left]
            before = left
            _release(chunk)
        if unseen:
            yield self._give(memoryview(joined)[:before].toreadonly())

    def _take_back(self) -> None:
        if self._given is not None:
            _release(self._given)
            self._given = None

    def _give(self, view: memoryview) -> memoryview:
        self._take_back()
        self._given = view
        return view

    @property
    def file(self) -> BinaryIO:
        """For ``reads = "random"``: the whole image as a read-only seekable binary file.

        It is there after all bytes have arrived. Raises ValueError for any other ``reads``.
        """
        if self._file is None:
            raise ValueError(f"image.file is for plugins that declare reads = 'random', not {self._reads!r}")
        file: BinaryIO = self._file
        return file

    @property
    def path(self) -> str:
        """For ``reads = "random"``: a path under which a program that the plugin starts can open the image.

        Read-only, and of no meaning to any other process: a program that is started must inherit
        ``image.file.fileno()`` (``pass_fds``). Raises ValueError for any other ``reads``.
        """
        if self._path is None:
            raise ValueError(f"image.path is for plugins that declare reads = 'random', not {self._reads!r}")
        return self._path

    def becomes(
        self,
        *,
        disk_format: Optional[str] = None,
        container_format: Optional[str] = None,
        properties: Optional[Mapping[str, Any]] = None,
    ) -> None:
        """In a transform: say what the new image is; what is None stays as it was.

        `properties` are as :meth:`Inspector.inspect` returns them. May be called more than once, until the
        generator ends; the plugins that come after it are told what was said before the first yield, the
        image is stored with the last. Raises ValueError in an inspector.
        """
        self._transform("becomes").becomes(disk_format, container_format, properties)

    def unchanged(self) -> None:
        """In a transform: say that there is nothing to do; the bytes pass on as they came, at no cost.

        Before the first yield, and before 4 MiB have been read (``stream``); then ``return``.
        Raises ValueError in an inspector, after a yield, and when too much has been read.
        """
        self._transform("unchanged").unchanged(self._offset)

    def _transform(self, what: str) -> Any:
        if self._transforms is None:
            raise ValueError(f"image.{what}() is for transforms: an inspector cannot change an image")
        return self._transforms

    def _next_piece(self) -> Optional[memoryview]:
        """What is left of the current chunk, or the next one; the view that was given out is revoked."""
        given, self._given = self._given, None
        if given is not None:
            _release(given)
            del given
        if self._chunk is not None:
            return self._chunk
        return self._source.take()


def _room(memory: bytearray, used: int, needed: int) -> bytearray:
    """The same memory with so much room, or if a view of it lives on, new memory with the first `used` bytes of it:
    a slice of a window cannot be revoked, and must not come to show other bytes."""
    try:
        memory.append(0)
        del memory[-1]
        if needed > len(memory):
            memory.extend(bytes(needed - len(memory)))
    except BufferError:
        old, memory = memory, bytearray(max(needed, len(memory)))
        with memoryview(old) as shown, memoryview(memory) as room:
            room[:used] = shown[:used]
    return memory


def _release(view: memoryview) -> None:
    try:
        view.release()
    except BufferError:
        pass  # something exports it (an array): Chunks sees its reference; contextlib costs a start-up
