"""One process on a host that inspects images for the workers of an image service, over a local socket.

- ``client.py``: `Agent`, with which a worker asks
- ``protocol.py``: the messages of both sides; `douane.stream.connection` carries them
- ``server.py``: listens, and reads the plan again on SIGHUP; ``lobby.py``: clients that have said nothing yet;
  ``session.py``: the conversation with one client
- ``slots.py``: which image is inspected now, which waits, which gives way; ``pipe_source.py``: reads at that pace
- ``workers.py``: the threads that inspect, with the plan that is served (`douane.engine.served_plan`)

For another message, write a struct in ``protocol.py`` and add it to its union there.
"""

from douane.engine.served_plan import ServedPlan

from .client import Agent, AgentInspection, has_green_threads
from .server import Options, serve

__all__ = ["Agent", "AgentInspection", "Options", "ServedPlan", "has_green_threads", "serve"]
