"""Compiles kernels for an H100 without having one, in a process of its own, as `tests` itself interprets them.

python tests/triton_compiling.py CELL HIDDEN DTYPE: one line of JSON per kernel. Triton's wheel has all it takes, down
to the assembler; so what comes out are the instructions, and with them registers and shared memory.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import triton.backends.nvidia
from triton import compile as compile_kernel
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from gatewise import cells
from gatewise.engine.triton import launch, steps

POINTERS = {torch.float32: "*fp32", torch.bfloat16: "*bf16"}


def compiled(function, constants, dtype, options):
    signature, values, attributes = {}, {}, {}
    for place, name in enumerate(function.arg_names):
        if name.endswith("_ptr"):
            signature[name] = "*u8" if name == "flags_ptr" else POINTERS[dtype]
            attributes[(place,)] = [["tt.divisibility", 16]]
        elif name in ("T", "B") or name.endswith("_width"):
            signature[name] = "i32"
        else:
            signature[name], values[(place,)] = "constexpr", constants[name]
    source = ASTSource(function, signature, values, attributes)
    return compile_kernel(source, target=GPUTarget("cuda", 90, 32), options=options)


def kernels(layer):
    """Function, constants, options and allowed shared memory of each kernel, with all that a layer may ask for."""
    switches = {"KEEP": True, "LENGTHS": True, "RESETS": True, "REVERSE": 0, "BLOCK_B": 16}
    switches |= {f"ARRIVES_{c}": True for c in layer.cell.carry}
    for back in (False, True):
        function = launch.kernel(*launch.recurrence_text(layer.cell, back))
        yield function, layer.constants() | switches, launch.OPTIONS, launch.shared_bytes(layer, back)
        for part in filter(None, steps.pointwise(layer.cell, back)):
            yield part.function, part.sized(layer)[0], steps.OPTIONS, 48 * 1024


def usage(cubin):
    """Registers of a thread, and bytes that it keeps in memory because they were too few."""
    tool = Path(triton.backends.nvidia.__file__).parent / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        text = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    return int(re.search(r"REG:(\d+)", text)[1]), int(re.search(r"STACK:(\d+)", text)[1])


if __name__ == "__main__":
    name, hidden, dtype = sys.argv[1], int(sys.argv[2]), getattr(torch, sys.argv[3])
    cell = cells.find(name)
    sizes = {letter: size for letter, size in cell.sizes(hidden, hidden, hidden // 2).items() if size}
    layer = launch.Layer(cell, 10, 32, sizes, dtype, torch.device("cpu"), False, (), None, None)
    for function, constants, options, allowed in kernels(layer):
        kernel = compiled(function, constants, dtype, options)
        registers, spilled = usage(kernel.asm["cubin"])
        found = {"name": function.fn.__name__, "shared": kernel.metadata.shared, "allowed": allowed}
        print(json.dumps(found | {"registers": registers, "spilled": spilled}))
