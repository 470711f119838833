"""Seeds, mutants and checks of fuzzing: tests and `make fuzz` share them."""
