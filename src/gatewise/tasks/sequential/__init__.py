"""`sequential`: models of other libraries, layers that read one another's output."""
