"""The bytes of an image: rings, what fills them, what reads them. Knows no plugin and no verdict."""
