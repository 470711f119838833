"""The kit of plugin authors: a scaffold for new plugins, and the conformance suite."""
