"""A staged image in a pool: an image named ``staging-KEY`` that is open for writing, which other clients see."""

from __future__ import annotations

from types import TracebackType

from douane.errors import StoreError

from . import steps
from .errors import explain
from .options import RbdOptions
from .pool import Helpers
from .process import Helper, HelperError

PREFIX = "staging-"
_LEAST_STEP = 256 << 20


class RbdStaging:
    """See `Staged`. The claim is the watch that Ceph keeps of whoever has an image open for writing: it ends with the
    helper process, or 30 seconds after its machine is gone."""

    fd = None

    def __init__(self, helpers: Helpers, options: RbdOptions, key: str, helper: Helper, size: int) -> None:
        """`helper` has the image open; `size` is the size that the image has."""
        self.key = key
        self.finished = False
        self._helpers = helpers
        self._options = options
        self._helper: Helper | None = helper
        self._size = size

    @property
    def name(self) -> str:
        """The name of the image in the pool."""
        return PREFIX + self.key

    def write(self, view: memoryview, offset: int) -> None:
        """See `Staged`: the bytes are with the helper on return; `finish` waits for the cluster."""
        helper = self.helper()
        end = offset + len(view)
        try:
            if end > self._size:
                # Growing rewrites the header of the image: in steps, since nobody says how long the image will be.
                self._resize(helper, end + max(_LEAST_STEP, end // 8))
            helper.write(view, offset)
        except HelperError as error:
            raise self._failed(error) from error

    def open_read(self) -> None:
        """See `Staged`: there is no file."""

    def explain(self, error: OSError) -> StoreError:
        """See `Staged`."""
        return StoreError(f"cannot write the image to the pool {self._options.pool}: {error}")

    def keep(self, size: int) -> None:
        """See `Staged`."""
        helper = self.helper()
        self.finished = False
        try:
            helper.call("flush")
            if size != self._size:
                self._resize(helper, size)
        except HelperError as error:
            raise self._failed(error) from error

    def cut(self, size: int) -> None:
        """See `Staged`."""
        if size > self._size:
            raise StoreError(f"the staged image {self.key} has {self._size} bytes, and not {size}", code="damaged")
        self.keep(size)

    def finish(self, size: int) -> None:
        """See `Staged`."""
        self.keep(size)
        self.finished = True

    def discard(self) -> None:
        """See `Staged`."""
        if self._helper is None:
            return
        helper = self._helper
        try:
            if helper.is_broken:
                return  # the claim goes with the process, and then a sweep deletes the image
            helper.call("close")
            steps.delete(helper, self.name, self._options)
        except HelperError as error:
            helper.is_broken = True
            raise explain(error, f"delete {self.name}", self._options) from error
        finally:
            self._release()

    def close(self) -> None:
        """See `Staged`."""
        if self._helper is None:
            return
        try:
            if not self._helper.is_broken:
                self._helper.call("close")
        except HelperError:
            self._helper.is_broken = True
        self._release()

    def helper(self) -> Helper:
        """The process that has the image open. Raises StoreError once it is closed, or after an error of a write."""
        if self._helper is None:
            raise StoreError(f"the staged image {self.key} was published or discarded already", code="not-found")
        if self._helper.is_broken:
            raise StoreError(f"an earlier write to the staged image {self.key} failed: discard it and import again")
        return self._helper

    def _resize(self, helper: Helper, size: int) -> None:
        helper.call("resize", size=size)
        self._size = size

    def _failed(self, error: HelperError) -> StoreError:
        if self._helper is not None:
            # Whatever is still under way must not be waited for, and nothing may follow it.
            self._helper.kill()
        return explain(error, f"write {self.name}", self._options, self._helpers.is_full)

    def _release(self) -> None:
        helper, self._helper = self._helper, None
        if helper is not None:
            self._helpers.give_back(helper)

    def __enter__(self) -> RbdStaging:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()
