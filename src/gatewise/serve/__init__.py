"""Trained models over HTTP and WebSocket: predictions, live streams, text. Needs the extra `serve`, and no torch."""
