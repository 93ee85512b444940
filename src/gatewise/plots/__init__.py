"""Plots that several tasks draw."""
