"""Data that every machine has, and data that is made."""
