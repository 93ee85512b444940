"""`python -m gatewise` is `gatewise`."""

from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
