"""A large site in one machine: the real catalog in a real PostgreSQL, workers whose runs sleep, and one real door.

``python -m bench machines-site``: 100 workers, 1,000,000 images, and 10,000 imports an hour at several times the speed.
Time is shortened everywhere: runs, heartbeats, and the looks of idle workers.
"""

from __future__ import annotations

from .measuring import measure

__all__ = ["measure"]
