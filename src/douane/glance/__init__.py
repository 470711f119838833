"""Inside stock Glance: a filter before its API, and a plugin of its import. They know what Glance publishes."""
