"""One plugin in its process."""
