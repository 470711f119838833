"""From one disk format to another: what arrives, the program that converts, and what comes out."""
