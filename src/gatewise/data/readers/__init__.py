"""One file for each format that holds sequences."""
