"""Plain methods beside the networks of `classify`, and how all are blended. Only learning needs torch."""
