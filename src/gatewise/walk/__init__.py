"""A cell, step by step: a short sequence through it forward and backward, as a page to click through and as text."""
