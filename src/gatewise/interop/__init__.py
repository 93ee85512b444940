"""Models from and for other libraries: read, written, and run there, to prove that they compute the same."""
