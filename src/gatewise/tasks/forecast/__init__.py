"""The future of time series, with its uncertainty."""
