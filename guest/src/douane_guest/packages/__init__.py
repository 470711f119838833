"""Package databases of guests, one module each."""
