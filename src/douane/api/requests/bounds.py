"""The bounds of what a client may send. Sizes of names and values are those of Glance's database."""

from __future__ import annotations

from douane.catalog.query import Quotas

BODY_BYTES = 256 * 1024
"""Of a JSON body: 128 properties with values of 1 KiB fit."""
BODY_DEPTH = 12
"""Of arrays and objects inside each other; no call needs more than 4."""
QUERY_BYTES = 16 * 1024
QUERY_FIELDS = 128
PATH_BYTES = 2048
HEADERS_BYTES = 64 * 1024
"""Of all headers together: tokens have a few KiB."""
LIST_ITEMS = 256
"""Values in a list of a filter (``id=in:…``)."""
SORT_KEYS = 8
CHANGES = 512
"""Operations in a PATCH: one for each property and tag that may exist, twice."""
NAME = 255
"""Characters in the name of an image or a property, and in a tag, an owner or a member."""
VALUE = 65_535
"""Bytes in the value of a property, as UTF-8: Glance keeps it in a TEXT column of MySQL."""
NUMBER = 2**31 - 1
"""The greatest `min_disk` and `min_ram`: Glance keeps them in an INTEGER column."""
SIZE = 2**63 - 1
REQUEST_ID = 64
HEADER = 8 * 1024
PAGE = 1000
"""The largest page of a list; a larger `limit` is cut."""
DEFAULT_PAGE = 25
URL = 2048
STORES = 64
"""Stores that an import may name."""

QUOTAS = Quotas(properties=128, tags=128, members=128)
"""Glance's defaults; the operator may change them."""
