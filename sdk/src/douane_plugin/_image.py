"""The image as a plugin sees it: the declared facts, and the bytes."""

from __future__ import annotations

from ._views import read_only, release

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO, Iterator, Mapping, Optional, Protocol, Union

    from ._files import ImageFile, ImageFiles
    from ._guest import Guest
    from ._guest_facts import UnreadPart, Volume

    class _Source(Protocol):
        ended: bool
        goes_on: bool

        def take(self) -> Optional[memoryview]: ...


class Image:
    """An image during its import: the declared facts, and the bytes, once and in order.

    Douane makes the image and passes it to :meth:`Inspector.inspect` or :meth:`Transform.transform`; plugins never
    make one. All of it is read-only. :meth:`read`, iteration and :meth:`windows` share one position, :attr:`offset`.
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
        files: Optional[ImageFiles] = None,
    ) -> None:
        self._facts = dict(facts)
        self._properties: Mapping[str, str] = read_only(dict(facts.get("properties") or {}))
        self._findings: Mapping[str, Any] = read_only(dict(facts.get("findings") or {}))
        self._source = source
        self._reads = reads
        self._file = file
        self._path = path
        self._transforms = transforms
        self._files = files
        self._guest: Optional[Guest] = None
        self._rest: Optional[memoryview] = None  # the unread part of the current chunk
        self._lent: Optional[memoryview] = None  # the view that the plugin holds now
        self._offset = 0

    @property
    def name(self) -> Optional[str]:
        """The declared name of the image, or None."""
        return self._facts.get("name")

    @property
    def size(self) -> Optional[int]:
        """The length in bytes of the image as it arrives, or None if it is not known before the end."""
        return self._facts.get("size")

    @property
    def disk_format(self) -> Optional[str]:
        """The declared disk format (``"qcow2"``, ``"raw"``, ...), or None. It is a claim, not a fact.

        With ``reads = "random"``, and a `format` inspector beside the plugin in the plan: the format that it found.
        """
        return self._facts.get("disk_format")

    @property
    def container_format(self) -> Optional[str]:
        """The declared container format (``"bare"``, ``"ova"``, ...), or None. It is a claim, not a fact."""
        return self._facts.get("container_format")

    @property
    def properties(self) -> Mapping[str, str]:
        """The declared properties of the image: a read-only mapping of str to str."""
        return self._properties

    @property
    def owner(self) -> Optional[str]:
        """The id of the project (tenant) that the image will belong to, or None if it is not known."""
        return self._facts.get("owner")

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that the identity service gives the user who sends the image; empty if they are not known."""
        return tuple(self._facts.get("roles") or ())

    @property
    def findings(self) -> Mapping[str, Union[str, int, float, bool]]:
        """The properties that earlier plugins of the plan have set: a read-only mapping of ``plugin.key`` to value.

        Empty unless the plugin declares ``reads = "findings"`` or ``"guest+findings"``: all other plugins run at the
        same time.
        """
        return self._findings

    @property
    def offset(self) -> int:
        """The number of bytes that the plugin has been given so far; with ``reads = "files"``, those of files."""
        return self._files.offset if self._files is not None else self._offset

    def __iter__(self) -> Image:
        return self

    def __next__(self) -> memoryview:
        """Return the next chunk: a read-only ``memoryview`` of bytes, never empty.

        The length of chunks is not part of the contract. A chunk is valid until the plugin asks for the next one, by
        any method; using it after that raises ValueError. If a slice of it, or an array over it, is still in use two
        chunks later, this raises BufferError: copy the bytes that you keep, ``bytes(chunk[a:b])``.
        """
        chunk = self._next_piece()
        if chunk is None:
            raise StopIteration
        self._rest = None
        self._lent = chunk
        self._offset += len(chunk)
        return chunk

    def read(self, n: int) -> bytes:
        """Return the next `n` bytes as ``bytes``: fewer only at the end of the image, ``b""`` after it.

        Raises ValueError if `n` is negative or not an int, and if the plugin declares ``reads = "head:N"`` and asks
        for bytes beyond N of an image that has them.
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
                        "declare all that you read, or read less"
                    )
                break
            part = bytes(chunk[:n])
            self._rest = chunk[len(part) :] if len(part) < len(chunk) else None
            chunk.release()
            n -= len(part)
            self._offset += len(part)
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def windows(self, size: int, overlap: int = 0) -> Iterator[memoryview]:
        """Iterate over the rest of the image in windows of `size` bytes that overlap by `overlap` bytes.

        Window number k begins k * (size - overlap) bytes after the current position, whatever the length of the
        chunks; only the last window may be shorter. A pattern of at most `overlap` + 1 bytes therefore lies in at
        least one window as a whole. Windows are read-only ``memoryview`` objects of bytes, and valid as long as
        chunks are. At the end of an image there are none. Raises ValueError unless 0 <= `overlap` < `size`.
        """
        for value in (size, overlap):
            if isinstance(value, bool) or not isinstance(value, int):
                raise ValueError(f"windows(size, overlap) takes numbers of bytes, not {value!r:.100}")
        if not 0 <= overlap < size:
            raise ValueError(f"windows(size, overlap) needs 0 <= overlap < size, not {size} and {overlap}")
        return self._windows(size, overlap)

    def _windows(self, size: int, overlap: int) -> Iterator[memoryview]:
        step = size - overlap
        # Holds the bytes from the start of the next window to the end of the chunk, and only those bytes of the next
        # chunk that belong to windows which begin in front of it. The memory is used again: with a new buffer for
        # each window, the kernel took five times as long to zero pages as the plugin took to search them.
        joined = bytearray()
        carried = 0  # bytes in `joined`, fewer than a window has
        unseen = 0  # bytes after the end of the last window
        while True:
            chunk = self._next_piece()
            if chunk is None:
                break
            self._rest = None
            length = len(chunk)
            self._offset += length
            unseen += length
            start = -carried  # of the next window, relative to the chunk
            if carried:
                more = min(length, size - (carried % step or step))  # to the end of the last window that begins there
                joined = _with_room(joined, carried, carried + more)
                with memoryview(joined) as room:
                    room[carried : carried + more] = chunk[:more]
                while start < 0 and start + size <= length:
                    unseen = length - (start + size)
                    yield self._lend(memoryview(joined).toreadonly()[start + carried : start + carried + size])
                    start += step
            while start >= 0 and start + size <= length:
                unseen = length - (start + size)
                yield self._lend(chunk[start : start + size])
                start += step
            self._revoke()
            rest = length - start
            joined = _with_room(joined, carried + length if start < 0 else 0, rest)
            with memoryview(joined) as room:
                room[:rest] = chunk[start:] if start >= 0 else room[start + carried : start + carried + rest]
            carried = rest
            release(chunk)
        if unseen:
            yield self._lend(memoryview(joined)[:carried].toreadonly())

    def _revoke(self) -> None:
        if self._lent is not None:
            release(self._lent)
            self._lent = None

    def _lend(self, view: memoryview) -> memoryview:
        self._revoke()
        self._lent = view
        return view

    @property
    def file(self) -> BinaryIO:
        """The whole image as a read-only, seekable binary file, for ``reads = "random"``.

        The plugin starts when all bytes have arrived. Raises ValueError for any other ``reads``.
        """
        if self._file is None:
            raise ValueError(f"image.file is for plugins that declare reads = 'random', not {self._reads!r}")
        file: BinaryIO = self._file
        return file

    @property
    def path(self) -> str:
        """The path at which a program that the plugin starts can open the image, for ``reads = "random"``.

        It is read-only, and valid only in a process that inherits ``image.file.fileno()`` (``pass_fds``). Raises
        ValueError for any other ``reads``.
        """
        if self._path is None:
            raise ValueError(f"image.path is for plugins that declare reads = 'random', not {self._reads!r}")
        return self._path

    @property
    def guest(self) -> Guest:
        """What the virtual machine will see, for ``reads = "guest"`` and ``"guest+findings"``: see :class:`Guest`.

        The plugin starts when all bytes have arrived. Raises ValueError for any other ``reads``.
        """
        if not self._reads.startswith("guest"):
            raise ValueError(f"image.guest is for plugins that declare reads = 'guest', not {self._reads!r}")
        if self._guest is None:
            from ._guest import open_guest

            self._guest = open_guest(self.file.fileno(), self.disk_format)
        return self._guest

    def files(self) -> Iterator[ImageFile]:
        """Iterate over all entries of all volumes, in the order of the disk, for ``reads = "files"``.

        See :class:`ImageFile`. An image is read once: a second call goes on where the first one is. Raises
        :class:`Incomplete` if the reading of the image breaks off, and ValueError for any other ``reads``.
        """
        return self._image_files("files()")

    @property
    def volumes(self) -> tuple[Volume, ...]:
        """The volumes of the image that could be opened, for ``reads = "files"``. Raises as :meth:`files` does."""
        return self._image_files("volumes").volumes

    @property
    def unread(self) -> tuple[UnreadPart, ...]:
        """The parts of the image that could not be read, for ``reads = "files"``. Raises as :meth:`files` does.

        The list is complete: what remains of :meth:`files` is skipped, so ask after it. A plugin that returns without
        having asked, when there are such parts, is answered `Incomplete` in its place.
        """
        return self._image_files("unread").unread

    def _image_files(self, member: str) -> ImageFiles:
        if self._files is None:
            raise ValueError(f"image.{member} is for plugins that declare reads = 'files', not {self._reads!r}")
        return self._files

    def becomes(
        self,
        *,
        disk_format: Optional[str] = None,
        container_format: Optional[str] = None,
        properties: Optional[Mapping[str, Any]] = None,
    ) -> None:
        """State the format of the new image, in a transform. None leaves a format as it was.

        `properties` are as :meth:`Inspector.inspect` returns them. The method may be called repeatedly until the
        generator ends: later plugins of the plan see the formats stated before the first yield, the image is stored
        with the last. Raises ValueError in an inspector.
        """
        self._transform("becomes").becomes(disk_format, container_format, properties)

    def unchanged(self) -> None:
        """State that a transform leaves the image as it is: the bytes pass on at no cost.

        Call it before the first yield and, with ``reads = "stream"``, before 4 MiB have been read; then ``return``.
        Raises ValueError in an inspector, after a yield, and when too much has been read.
        """
        self._transform("unchanged").unchanged(self._offset)

    def _has_shown_unread(self) -> bool:
        return self._files is not None and self._files.asked

    def _transform(self, method: str) -> Any:
        if self._transforms is None:
            raise ValueError(f"image.{method}() is for transforms: an inspector cannot change an image")
        return self._transforms

    def _next_piece(self) -> Optional[memoryview]:
        """Return the unread part of the current chunk, or the next chunk; revoke the view that the plugin holds."""
        lent, self._lent = self._lent, None
        if lent is not None:
            release(lent)
            del lent
        if self._rest is not None:
            return self._rest
        return self._source.take()


def _with_room(memory: bytearray, used: int, needed: int) -> bytearray:
    """Return `memory` with `needed` bytes; if a view of it lives on, new memory with its first `used` bytes.

    A slice of a window cannot be revoked, and must not come to show other bytes.
    """
    try:
        memory.append(0)
        del memory[-1]
        if needed > len(memory):
            memory.extend(bytes(needed - len(memory)))
    except BufferError:
        old, memory = memory, bytearray(max(needed, len(memory)))
        with memoryview(old) as view, memoryview(memory) as room:
            room[:used] = view[:used]
    return memory
