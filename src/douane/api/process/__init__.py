"""The processes of `douane serve`: the supervisor, and how it starts, watches and ends the door and the workers."""
