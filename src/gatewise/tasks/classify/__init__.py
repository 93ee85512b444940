"""One label or number for each sequence."""
