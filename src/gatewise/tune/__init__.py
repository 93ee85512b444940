"""Searching for better options than the default ones, within a budget."""
