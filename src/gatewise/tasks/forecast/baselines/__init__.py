"""Plain methods beside the network of `forecast`, and how they are weighed. Plain numpy, without torch."""
