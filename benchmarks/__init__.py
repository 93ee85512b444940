"""Questions with measured answers. Each script states its question in its first line and writes `results/`."""
