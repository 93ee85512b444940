"""Sequences of numbers, continued by a mixture of Gaussians."""
