"""One process on a host that inspects images for the workers of an image service, over a local socket.

- ``client.py``: `Agent`, with which a worker asks
- ``protocol.py``: the messages of both sides, and the connection that carries them
- ``server.py``: listens, and reads the plan again on SIGHUP; ``lobby.py``: clients that have said nothing yet;
  ``session.py``: the conversation with one client
- ``slots.py``: which image is inspected now, which waits, which gives way; ``pipe_source.py``: reads at that pace
- ``workers.py``: the threads that inspect
- ``served_plan.py``: a plan that an image service uses, here and in ``douane.glance``

For another message, write a struct in ``protocol.py`` and add it to its union there.
"""

from .client import Agent, AgentInspection, has_green_threads
from .served_plan import ServedPlan
from .server import Options, serve

__all__ = ["Agent", "AgentInspection", "Options", "ServedPlan", "has_green_threads", "serve"]
