# ruff: noqa: F401  # an import is what registers a compression
"""All compressions: one line registers one, see `compression`.

The transform `decompress` imports these without the thirty other formats, which take longer to load than it does.
"""

from .bzip2 import Bzip2
from .compression import Compression
from .gzip import Gzip
from .lz4 import Lz4
from .lzma import Lzma
from .xz import Xz
from .zstd import Zstd

COMPRESSIONS: "tuple[Compression, ...]" = tuple(
    form()
    for form in tuple(globals().values())
    if isinstance(form, type) and issubclass(form, Compression) and form.name
)
