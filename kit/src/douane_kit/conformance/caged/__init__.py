"""What is shown to the cage: one package, that runs there with the standard library and `douane_plugin` alone."""
