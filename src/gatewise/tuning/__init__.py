"""Searching for better options than the default ones, within a budget. `gatewise.tune` is what users call:

found = gatewise.tune("classify", "reviews.csv", minutes=10, output="reviews.gatewise")
"""

from .tuned import Tuned, tune

__all__ = ["Tuned", "tune"]
