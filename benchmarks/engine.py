"""How fast are the layers, compared with other libraries, and what limits them?

python -m benchmarks.engine
"""

from __future__ import annotations

import sys

from gatewise.bench import compare, text

from .record import write

if __name__ == "__main__":
    answer = compare(progress=lambda line: print(line, file=sys.stderr, flush=True))
    print(text(answer))
    write("engine", __doc__.partition("\n")[0], answer)
