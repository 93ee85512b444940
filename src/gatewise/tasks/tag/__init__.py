"""One label or number for each step."""
