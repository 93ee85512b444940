"""The C++ engine and its Python half. Needs no torch."""
