"""The program that tests an exported model in C."""

from __future__ import annotations

import numpy as np

from ..runtime.recording import StepModel
from .c_text import comment, table


def program(model: StepModel) -> str:
    """A program that runs the model's examples and prints the largest difference."""
    recording, examples = model.recording, model.examples
    count = len(examples)
    token_names = [vector.name for vector, _ in recording.tokens]
    number_names = [vector.name for vector in recording.numbers]
    tables = [table("int", f"in_{name}", examples.inputs[name].reshape(-1)) for name in token_names]
    tables += [table("float", f"in_{name}", examples.inputs[name].reshape(-1)) for name in number_names]
    tables += [table("float", f"out_{name}", examples.outputs[name].reshape(-1)) for name in recording.outputs]
    sizes = {name: vector.size for name, vector in recording.outputs.items()}
    once = {name for name, vector in recording.outputs.items() if recording.whole and recording.is_once(vector)}
    ones = {vector.name for vector in recording.single}
    if not recording.whole:
        ones.clear()  # each step is given what a sequence has once
    tokens = [f"in_{name}[{'n' if name in ones else 't'}]" for name in token_names]
    if recording.whole:
        tokens = [f"in_{name}[n]" if name in ones else f"in_{name} + t" for name in token_names]
    numbers = [f"in_{v.name} + {'n' if v.name in ones else 't'} * {v.size}" for v in recording.numbers]
    longest = max(examples.lengths, default=1)
    arrays = [f"    static float {name}[{size if name in once else size * longest}];" for name, size in sizes.items()]
    call = "gw_read(&state, lengths[n]" if recording.whole else "gw_step(&state"
    run = [f"if ({', '.join([call, *tokens, *numbers, *recording.outputs])}) != 0) return 2;"]
    for name, size in sizes.items():
        steps, at = "lengths[n] * " if recording.whole and name not in once else "", "n" if name in once else "t"
        loop = f"for (k = 0; k < {steps}{size}; k++)"
        run.append(f"{loop} worst = further(worst, {name}[k], out_{name}[{at} * {size} + k]);")
    if model.labels is not None:
        tables.append(table("int", "in_labels", model.labels))
        arrays.append(f"    static int labels[{longest}];")
        run += [
            "if (gw_labels(&state, lengths[n], scores, labels) != 0) return 2;",
            "for (k = 0; k < lengths[n]; k++) if (labels[k] != in_labels[t + k]) return 3;",
        ]
    begin = ["gw_reset(&state);", f"for (t = 0; t < {count}; t++) {{"]
    if recording.whole:
        tables.append(table("int", "lengths", np.array(examples.lengths)))
        begin = [f"for (n = 0; n < {len(examples.lengths)}; t += lengths[n++]) {{"]
    runs = [*begin, *(f"    {line}" for line in run), "}"]
    lines = [
        f"/* Runs steps that the model was run on when it was exported. {comment(model.title)} */",
        '#include "model.h"\n',
        "#include <math.h>\n#include <stdio.h>\n",
        *tables,
        "",
        "/* Difference of two numbers, relative to the larger one where that is above 1. */",
        "static double further(double worst, double found, double wanted) {",
        "    double size = wanted < 0 ? -wanted : wanted, off = found < wanted ? wanted - found : found - wanted;",
        "    if (size > 1) off /= size;",
        "    return off <= worst || worst != worst ? worst : off; /* one that is not a number stays */",
        "}",
        "",
        "int main(void) {",
        "    static gw_state state;",
        *arrays,
        "    double worst = 0;",
        f"    int t = 0, k{', n' if recording.whole else ''};",
        *(f"    {line}" for line in runs),
        f'    printf("{count} steps, largest difference %.3g\\n", worst);',
        f"    return worst <= {model.tolerance} ? 0 : 1;",
        "}",
    ]
    return "\n".join(lines) + "\n"
