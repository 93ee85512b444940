"""Figures that judge predictions, in numpy."""
