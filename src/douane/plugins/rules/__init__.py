"""Rules of an operator about an image: when they hold, and what they do."""
