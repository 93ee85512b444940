"""Are explanations true? See `__main__.py`."""
