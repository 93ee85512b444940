"""Watching a training: what happens inside of the layers, what is wrong there, and a page that shows it."""
