"""File systems, one module or package each."""
