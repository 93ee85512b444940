"""One text into another."""
