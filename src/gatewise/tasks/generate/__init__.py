"""Learns to continue sequences: text, or numbers such as pen strokes."""
