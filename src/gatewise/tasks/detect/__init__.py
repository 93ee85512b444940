"""Anomaly scores for each step of time series, and events."""
