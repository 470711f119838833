"""Faults at random on the parts of a site: hosts, database, stores, clocks. No image is lost, doubled or stuck.

``python -m bench machines-chaos``: hosts are network namespaces; two doors without workers, three machines of workers,
a PostgreSQL with a replica, a folder that all share, and a server that speaks S3. Needs root.
"""

from __future__ import annotations

import bench.databases  # noqa: F401 -- it adds the folder of the tests' support

from .measuring import measure

__all__ = ["measure"]
