"""One process on a host that inspects images for others: the workers of an image service ask it over a local socket."""

from .client import Agent, AgentPassage
from .server import Options, serve

__all__ = ["Agent", "AgentPassage", "Options", "serve"]
