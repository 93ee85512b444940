"""Texts as symbols and back: vocabularies, segmentation, tagging schemes."""
