"""Texts that describe images or video clips."""
