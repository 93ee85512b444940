"""Wrong calls of the C++ module: refused in words, never a crash or a wrong result.

Each runs in a forked child, for what is refused too late takes the process with it.
"""

import random
from itertools import islice

import pytest
import torch
from native_kit import apart
from table import NATIVE, Size, cells, draw
from torch._subclasses.fake_tensor import FakeTensorMode

from gatewise.native import lowering
from gatewise.native.library import _native

LSTM = cells.find("lstm")
SIZE = Size(T=5, B=4, D=20, H=40, P=9)
FIELDS = ("carry", "streams", "blocks", "phases", "outers", "totals", "slots", "parameters", "backward")


def lowerings(cell):
    yield "forward", lowering.lower_forward(cell, True, False)
    yield "hoisted", lowering.lower_forward(cell, False, True)
    yield "backward", lowering.lower_backward(cell)


def leaves(tree, path=()):
    """Paths and values of all whole numbers."""
    if isinstance(tree, list | tuple):
        for i, branch in enumerate(tree):
            yield from leaves(branch, (*path, i))
    elif isinstance(tree, int) and not isinstance(tree, bool):
        yield path, tree


def at(tree, path):
    for i in path:
        tree = tree[i]
    return tree


def changed(tree, path, value):
    if not path:
        return value
    return type(tree)(changed(b, path[1:], value) if i == path[0] else b for i, b in enumerate(tree))


def unused(program, path, value):
    """Whether nothing looks at this number, or it may be anything: another number is as good."""
    field = FIELDS[path[0]]
    if field == "parameters":
        return value > 0  # the weights are counted with each call
    if field == "totals":
        return path[-1] == 2 and value < 0  # no weight
    is_value = field == "phases" and len(path) == 5 and path[2] == 2
    return is_value and path[4] == 1 and at(program, path[:4])[0] in (lowering.Place.SLOT, lowering.Place.CONSTANT)


@pytest.mark.parametrize("cell", NATIVE, ids=lambda c: c.name)
def test_a_program_with_any_number_out_of_range_is_refused(cell):
    def all_of_them():
        accepted = []
        for name, program in lowerings(cell):
            _native.Program(*program)
            for path, number in leaves(program):
                for wrong in (-7, 30_000, 2**31 - 1, 2**40):
                    try:
                        _native.Program(*changed(program, path, wrong))
                    except (ValueError, TypeError):
                        continue
                    if not unused(program, path, wrong):
                        accepted.append((name, FIELDS[path[0]], path[1:], number, wrong))
        return accepted[:12]

    kind, text = apart(all_of_them)
    assert (kind, text) == ("returned", "[]"), text


@pytest.mark.parametrize("wrong", [(), ([],) * 9, (1,) * 9, ("",) * 9, (None,) * 9], ids=str)
def test_what_is_no_program_at_all(wrong):
    kind, _ = apart(lambda: _native.Program(*wrong))
    assert "TypeError" in kind


def test_a_program_of_nothing_is_refused():
    for totals in ([], [(0, 0, -1)], [(0, 0, 0)]):
        kind, message = apart(lambda totals=totals: _native.Program([0], [], [], [], [], totals, 0, 0, False))
        assert "ValueError" in kind or totals == [], message


def program_of(cell, which):
    return dict(lowerings(cells.find(cell)))[which]


GROUP = (3, 0, 4, 0)  # the first group of the first phase: accumulators, biases, starts, shares
X, H = (
    (*GROUP, 3, 0),
    (*GROUP, 3, 1),
)  # products of the input, and of what is carried; each: place, index, size, products
# A square matrix beside block-diagonal ones, in a parameter of its own: block number 12.
MATRIX = {(2, 12): (3, 0, 1, 1, -1), (7,): 4}
INCONSISTENT = [  # cell, program, what is put where, what is told. Every number alone is one that could stand there.
    ("lstm", "forward", {(0, 0): 26}, "a carried value's size"),
    ("lstm", "forward", {(1, 1, 0): 26}, "a stream's size"),
    ("lstm", "forward", {(1, 0, 0): 1}, "the input's size"),
    ("lstm", "forward", {(2, 1, 1): 0}, "a block's place"),
    ("lstm", "forward", {(2, 1, 1): 2}, "a block's place"),
    ("lstm", "forward", {(2, 1, 2): 2}, "a block's place"),
    ("lstm", "forward", {(2, 1, 3): 1}, "a block's place"),
    ("lstm", "forward", {(2, 4, 4): 1}, "a block's place"),
    ("slstm", "forward", {(2, 5, 4): -1}, "a block's place"),
    ("lstm", "forward", {(2, 0, 4): 1}, "a block"),  # of heads, but not square
    ("lstm", "forward", {(2, 8, 4): 1}, "a block"),
    ("lstm", "forward", {(3, 0, 2, 4, 1): 0}, "a value's place"),
    ("lstmp", "forward", {(3, 0, 2, 9, 1): 0}, "a value's place"),
    ("layer_norm_lstm", "forward", {(3, 2, 2, 29, 1): 0}, "a value's place"),  # a matrix
    ("lstm", "forward", {(3, 0, 2, 9, 0): 4}, "a gradient's place"),
    ("lstm", "forward", {(3, 0, 2, 9, 0): 5}, "a gradient's place"),
    ("lstm", "forward", {(3, 0, 2, 9, 5): True}, "a result's place"),
    ("lstm", "backward", {(3, 0, 2, 4, 5): True}, "a result's place"),
    ("layer_norm_lstm", "forward", {(3, 2, 2, 29, 5): True}, "a result's place"),
    ("lstm", "hoisted", {(3, 0, 2, 0): (2, 1, 0.0, 0, True, False)}, "a value of many steps"),
    ("layer_norm_lstm", "forward", {(3, 1, 3, 0, 1): 0}, "a mean's vector"),
    ("layer_norm_lstm", "forward", {(3, 1, 3, 0): (6, 8)}, "a mean's vector"),
    ("lstm", "hoisted", {(3, 0, 3): [(2, 1)]}, "a mean's vector of many steps"),
    ("layer_norm_lstm", "forward", {(3, 1, 2, 0, 5): True}, "a mean"),
    ("lstm", "forward", {(*GROUP, 0): []}, "a group"),
    ("lstm", "forward", {GROUP: ([], [], [], [])}, "a group"),
    ("lstm", "forward", {(*GROUP, 0): [0, 1, 2]}, "a group"),
    ("lstm", "forward", {(*GROUP, 1): [[8], [9], [10]]}, "a group"),
    ("lstm", "forward", {(*GROUP, 2): [-1] * 5}, "a group"),
    ("lstm", "forward", {(*GROUP, 0): [0, 1, 2, 3, 4], (*GROUP, 1): [[]] * 5, (*GROUP, 2): [-1] * 5}, "a group"),
    ("lstm", "forward", {(*GROUP, 1, 0, 0): 0}, "a bias"),
    ("lstm", "hoisted", {(3, 1, 4, 0, 2, 0): 0}, "an accumulator's start"),
    ("lstm", "forward", {(*H, 0): 4}, "a product's vector"),
    ("lstm", "hoisted", {(*X, 0): 2, (*X, 2): 1}, "a product's vector"),
    ("lstm", "hoisted", {(*X, 0): 3, (*X, 2): 1}, "a product's vector"),
    ("lstm", "forward", {(*H, 2): 2}, "a product's vector"),
    ("lstm", "forward", {(*H, 3): []}, "a share"),
    ("lstm", "forward", {(*H, 3): [(k, 4, False) for k in range(5)]}, "a share"),
    ("lstm", "forward", {(*H, 3, 1, 0): 0}, "a product"),
    ("lstm", "forward", {(*X, 3, 0, 1): 4}, "a product's size"),
    ("lstm", "forward", {(*H, 3, 0, 1): 0}, "a product's size"),
    ("lstm", "forward", {(*X, 3, 0, 2): True}, "a product's size"),
    ("lstm", "forward", {(*H, 3, 0, 1): 8}, "a product's size"),
    ("lstmp", "forward", {(3, 1, 4, 0, 3, 0, 3, 0, 2): True}, "a product's size"),
    ("lstmp", "forward", {(2, 13): (4, 0, 1, 1, -1), (7,): 5, (3, 1, 4, 0, 3, 0, 3, 0, 1): 13}, "a product's size"),
    ("slstm", "forward", {**MATRIX, (*H, 3, 2, 1): 12}, "a share's heads"),
    ("lstm", "forward", {(*X, 3): [(0, 0, False)], (*H, 3): [(0, 4, False)]}, "an accumulator without products"),
    ("lstm", "forward", {(3, 0, 6): [(0, 0)]}, "an arrival"),
    ("lstm", "backward", {(3, 2, 6): [(0, 0)]}, "an arrival"),
    ("lstm", "backward", {(3, 2): (2, 1, [(0, 0, 0.0, 0, False, True)], [], [], [], [(0, 0)], [], [])}, "an arrival"),
    ("lstmp", "backward", {(3, 0, 6, 0, 1): 1}, "an arrival"),
    ("lstmp", "forward", {(3, 0, 7, 0, 1): 0}, "an emission"),
    ("lstm", "backward", {(3, 0, 7): [(0, 0)]}, "an emission"),
    ("lstm", "forward", {(5,): [(1, 8, -1)], (3, 0, 8): [(0, 0)]}, "a reduction"),
    ("lstm", "backward", {(3, 2, 8): [(0, 0)]}, "a reduction"),
    ("lstm", "backward", {(5, 4): (0, 8, -1)}, "a total's size"),
    ("lstm", "backward", {(5, 4): (1, 0, -1)}, "a total's weight"),
    ("lstm", "backward", {(5, 4): (1, 8, 8)}, "a total's weight"),
    ("lstm", "backward", {(5, 4): (1, 0, 8)}, "a total's weight"),
    ("lstm", "backward", {(4, 0, 0): 4, (4, 0, 2): 1}, "an outer product"),
    ("lstm", "backward", {(4, 0, 0): 6, (4, 0, 1): 8, (4, 0, 2): 1}, "an outer product"),
    ("lstm", "backward", {(4, 0, 2): 1}, "an outer product"),
    ("lstm", "backward", {(4, 0, 4): []}, "an outer product"),
    ("lstm", "backward", {(4, 0, 3): 0}, "an outer product's values"),
    ("lstm", "backward", {(4, 0, 4, 1, 0): 0}, "an outer product's values"),
    ("lstm", "backward", {(4, 0, 4, 0, 1): 4}, "an outer product's weight"),
    ("lstm", "backward", {(4, 1, 4, 0, 1): 0}, "an outer product's weight"),
    ("lstm", "backward", {(4, 1, 4, 0, 1): 8}, "an outer product's weight"),
    ("lstm", "backward", {(2, 12): (3, 0, 0, 1, -1), (7,): 4, (4, 1, 4, 3, 1): 12}, "an outer product's weight"),
    ("slstm", "backward", {**MATRIX, (4, 1, 4, 2, 1): 12}, "an outer product's heads"),
]


def put(tree, path, value):
    """`changed`, which may also add what comes next at the end of a list."""
    *ahead, last = path
    held = at(tree, ahead)
    return changed(tree, path, value) if last < len(held) else changed(tree, tuple(ahead), [*held, value])


@pytest.mark.parametrize(
    ("cell", "which", "changes", "told"), INCONSISTENT, ids=[f"{told}-{n}" for n, (*_, told) in enumerate(INCONSISTENT)]
)
def test_a_program_whose_numbers_do_not_fit_together_is_refused(cell, which, changes, told):
    program = program_of(cell, which)
    for path, value in changes.items():
        program = put(program, path, value)
    kind, message = apart(lambda: _native.Program(*program))
    assert "ValueError" in kind, (kind, message)
    assert f"{told} is out of range" in message


def test_what_is_added_to_a_program_above_may_stand_there():
    """It is refused for what it does not fit, and not because nothing may be added."""
    for cell, which, changes in (
        ("slstm", "forward", MATRIX),
        ("slstm", "backward", MATRIX),
        ("lstm", "backward", {(5, 4): (1, 8, -1)}),
        ("lstm", "backward", {(5, 4): (1, 4, 8)}),
        ("lstm", "hoisted", {(3, 1, 3): [(2, 1)]}),
        ("lstm", "forward", {(*X, 3): [(0, 0, False)]}),
    ):
        program = program_of(cell, which)
        for path, value in changes.items():
            program = put(program, path, value)
        kind, message = apart(lambda program=program: _native.Program(*program))
        assert kind == "returned", message


class Arena:
    """Memory of exactly the right sizes, with something beside each piece that must not change."""

    MARK = 12345.5

    def __init__(self):
        self.pieces = []

    def __call__(self, *shape, scale=0.1):
        count = 1
        for n in shape:
            count *= n
        around = torch.full((count + 128,), self.MARK)
        inside = around[64 : 64 + count]
        inside.normal_(0, scale, generator=torch.Generator().manual_seed(1))
        self.pieces.append(around)
        return inside.view(shape)

    def intact(self):
        return all((p[:64] == self.MARK).all() and (p[-64:] == self.MARK).all() for p in self.pieces)


def run_raw(cell, forward, backward, arena):
    """Both passes on the C++ side, by the sizes that the programs name."""
    sizes = cell.sizes(5, 20, 7)
    numbers = [sizes[letter] for letter in lowering.letters(cell)]
    numbers += [4] * (26 - len(numbers))
    T, B = 3, 4
    weights = [arena(*p.shape(sizes)) for p in cell.parameters]
    carried = [numbers[letter] for letter in forward[0]]
    x, state = arena(T, B, 5), [arena(B, n) for n in carried]
    y, last = [arena(T, B, n) for n in carried], [arena(B, n) for n in carried]
    plan = _native.Plan(_native.Program(*forward), numbers, (1, 1))
    call = (plan, _native.pack(plan, weights), weights, [x], None, None, False)
    (tape,) = _native.forward([(call, state, y, last, True)])
    plan = _native.Plan(_native.Program(*backward), numbers, (1, 1))
    dx, dstate, dweights = arena(T, B, 5), [arena(B, n) for n in carried], [arena(*w.shape) for w in weights]
    call = (plan, _native.pack(plan, weights), weights, [x], None, None, False)
    _native.backward([(call, tape, y, last, dx, dstate, dweights)])


@pytest.mark.parametrize("which", ["forward", "backward"])
@pytest.mark.parametrize("cell", NATIVE, ids=lambda c: c.name)
def test_a_program_that_passes_is_safe_to_run(cell, which):
    """Other numbers within range make another program, or none; but never one that leaves its memory."""
    programs = {"forward": lowering.lower_forward(cell, True, False), "backward": lowering.lower_backward(cell)}

    def attempt(path, number):
        arena = Arena()
        try:
            run_raw(cell, **{**programs, which: changed(programs[which], path, number)}, arena=arena)
        except (ValueError, TypeError):
            return "refused"
        return "ran" if arena.intact() else "wrote beyond its memory"

    assert attempt((6,), programs[which][6]) == "ran"  # unchanged
    choose = random.Random(f"{cell.name} {which}")
    mutations = [(p, v + choose.choice([-2, -1, 1, 2])) for p, v in leaves(programs[which]) for _ in range(2)]
    mutations = choose.sample(mutations, min(50, len(mutations)))

    def all_of_them():
        return [(m, result) for m in mutations if (result := attempt(*m)) not in ("ran", "refused")]

    kind, text = apart(all_of_them)
    if kind == "crashed":  # by which? Each in a child of its own, until one is found
        guilty = (m for m in mutations if apart(lambda m=m: attempt(*m))[0] == "crashed")
        named = [(FIELDS[p[0]], p[1:], at(programs[which], p), number) for p, number in islice(guilty, 1)]
        text = f"{text} at field, path, right number, wrong number: {named}"
    assert (kind, text) == ("returned", "[]"), text


def raw_call(**wrong):
    """A valid forward call of the C++ side, but for what is named."""
    inputs = draw(LSTM, SIZE, torch.float32)
    plan = {"program": FORWARD, "sizes": [20, 40, 0], "work": (1, 1)}
    pack = {**plan, **{k.removeprefix("pack_"): wrong.pop(k) for k in list(wrong) if k.startswith("pack_")}}
    pack_weights = pack.pop("weights", inputs.weights)
    plan.update({k: wrong.pop(k) for k in list(wrong) if k in plan})
    plan = wrong["plan"] if "plan" in wrong else _native.Plan(**plan)
    arguments = {
        "plan": plan,
        "packed": None if "packed" in wrong else _native.pack(_native.Plan(**pack), pack_weights),
        "weights": inputs.weights,
        "inputs": [inputs.x],
        "lengths": torch.tensor([5, 0, 3, 1]),
        "resets": torch.zeros(5, 4, dtype=torch.bool),
        "reverse": False,
        "state": inputs.state,
        "outputs": [torch.empty(5, 4, 40), None],
        "last": [torch.empty(4, 40) for _ in range(2)],
        "keep": True,
    }
    assert arguments.keys() >= wrong.keys()
    *call, state, outputs, last, keep = {**arguments, **wrong}.values()
    return _native.forward([(tuple(call), state, outputs, last, keep)])


def places(*shapes, **options):
    return [torch.zeros(shape, **options) for shape in shapes]


FORWARD = _native.Program(*lowering.lower_forward(LSTM, True, False))
GRU = cells.find("gru")
SHAPES = [(160, 20), (160, 40), (160,)]
WRONG_CALLS = {
    "a length too large": {"lengths": torch.tensor([5, 0, 6, 1])},
    "a length below zero": {"lengths": torch.tensor([5, 0, -1, 1])},
    "a length too few": {"lengths": torch.tensor([5, 0, 1])},
    "lengths of 32 bits": {"lengths": torch.tensor([5, 0, 3, 1], dtype=torch.int32)},
    "lengths with gaps": {"lengths": torch.tensor([5, 9, 0, 9, 3, 9, 1, 9])[::2]},
    "resets of numbers": {"resets": torch.zeros(5, 4, dtype=torch.uint8)[..., None]},
    "resets of fewer steps": {"resets": torch.zeros(4, 4, dtype=torch.bool)},
    "resets of fewer rows": {"resets": torch.zeros(5, 3, dtype=torch.bool)},
    "too few sizes": {"sizes": [20]},
    "no sizes": {"sizes": []},
    "a size below zero": {"sizes": [20, -40, 0]},
    "a size too large": {"sizes": [20, 1 << 30, 0]},
    "other sizes than the packed weights'": {"sizes": [200, 400, 0]},
    "packed weights of other sizes": {"pack_sizes": [20, 16, 0]},
    "packed weights of another program": {"pack_program": _native.Program(*lowering.lower_forward(GRU, True, False))},
    "packed weights divided otherwise": {"pack_work": (1, 3)},
    "no weights": {"weights": []},
    "too many weights": {"weights": places(*SHAPES, (160,))},
    "absent weights": {"weights": [None] * 3},
    "no weights to pack": {"pack_weights": []},
    "absent weights to pack": {"pack_weights": [None] * 3},
    "weights to pack of a smaller shape": {"pack_weights": places((160, 20), (160, 39), (160,))},
    "weights to pack of fewer rows": {"pack_weights": places((160, 20), (159, 40), (160,))},
    "weights to pack in bfloat16": {"pack_weights": places(*SHAPES, dtype=torch.bfloat16)},
    "weights of a smaller shape": {"weights": places((160, 20), (160, 39), (160,))},
    "a vector of bfloat16": {"weights": [*places(*SHAPES[:2]), *places(SHAPES[2], dtype=torch.bfloat16)]},
    "a vector too short": {"weights": places((160, 20), (160, 40), (159,))},
    "a vector as a matrix": {"weights": places((160, 20), (160, 40), (160, 2))},
    "weights of float64": {"weights": places(*SHAPES, dtype=torch.float64)},
    "fewer sizes to pack": {"pack_sizes": [20]},
    "no threads": {"work": (1, 0)},
    "no parts": {"work": (0, 1)},
    "more parts than threads": {"work": (3, 2)},
    "one state of two": {"state": places((4, 40))},
    "three states": {"state": places(*[(4, 40)] * 3)},
    "absent states": {"state": [None, None]},
    "a state of fewer rows": {"state": places((4, 40), (3, 40))},
    "a state of fewer units": {"state": places((4, 40), (4, 39))},
    "a state of three axes": {"state": places((4, 40), (1, 4, 40))},
    "a state by columns": {"state": [torch.zeros(40, 4).t(), torch.zeros(4, 40)]},
    "a state of float64": {"state": places(*[(4, 40)] * 2, dtype=torch.float64)},
    "one output of two": {"outputs": [None]},
    "an output of fewer steps": {"outputs": [torch.zeros(4, 4, 40), None]},
    "an output of fewer rows": {"outputs": [torch.zeros(5, 3, 40), None]},
    "an output of fewer units": {"outputs": [torch.zeros(5, 4, 39), None]},
    "no last state": {"last": []},
    "no place for the last state": {"last": [None, None]},
    "a last state of fewer rows": {"last": places((4, 40), (3, 40))},
    "a last state of fewer units": {"last": places((4, 39), (4, 40))},
    "an input that is text": {"inputs": ["x"]},
    "an input that is a list": {"inputs": [[[[1.0]]]]},
    "an input on no device": {"inputs": [torch.zeros(5, 4, 20, device="meta")]},
    "an input that is sparse": {"inputs": [torch.zeros(5, 4, 20).to_sparse()]},
    "an input that is fake": {"inputs": [FakeTensorMode().from_tensor(torch.zeros(5, 4, 20))]},
    "an input of two axes": {"inputs": [torch.zeros(4, 20)]},
    "an input of fewer features": {"inputs": [torch.zeros(5, 4, 19)]},
    "an input of float64": {"inputs": [torch.zeros(5, 4, 20, dtype=torch.float64)]},
    "an input whose last axis is in pieces": {"inputs": [torch.zeros(5, 20, 4).transpose(1, 2)]},
    "no input": {"inputs": []},
    "an absent input": {"inputs": [None]},
    "two inputs of one": {"inputs": [torch.zeros(5, 4, 20)] * 2},
    "None for a plan": {"plan": None},
    "None for packed weights": {"packed": None},
    "a backward program": {"program": _native.Program(*lowering.lower_backward(LSTM))},
}


def test_the_call_that_is_spoilt_below_is_valid():
    kind, message = apart(raw_call)
    assert kind == "returned", message


@pytest.mark.parametrize("name", WRONG_CALLS)
def test_wrong_calls_of_the_compiled_side_are_refused(name):
    kind, message = apart(lambda: raw_call(**WRONG_CALLS[name]))
    assert "ValueError" in kind or "TypeError" in kind, (kind, message)


def raw_backward(**wrong):
    """A valid backward call of the C++ side after its forward call, but for what is named."""
    inputs = draw(LSTM, SIZE, torch.float32)
    (tape,) = raw_call()
    plan = _native.Plan(BACKWARD, [20, 40, 0], (1, 1))
    arguments = {
        "plan": plan,
        "packed": _native.pack(plan, inputs.weights),
        "weights": inputs.weights,
        "inputs": [inputs.x],
        "lengths": torch.tensor([5, 0, 3, 1]),
        "resets": torch.zeros(5, 4, dtype=torch.bool),
        "reverse": False,
        "tape": tape,
        "douts": [torch.ones(5, 4, 40), None],
        "dlast": [None, torch.ones(4, 40)],
        "dx": torch.empty(5, 4, 20),
        "dstate": [torch.empty(4, 40) for _ in range(2)],
        "dweights": places(*SHAPES),
    }
    assert arguments.keys() >= wrong.keys()
    values = list({**arguments, **wrong}.values())
    return _native.backward([(tuple(values[:7]), *values[7:])])


BACKWARD = _native.Program(*lowering.lower_backward(LSTM))
WRONG_BACKWARD_CALLS = {
    "no tape": {"tape": None},
    "other lengths than the tape's": {"lengths": torch.tensor([5, 1, 3, 1])},
    "no resets, where the tape has them": {"resets": None},
    "a forward plan": {"plan": _native.Plan(FORWARD, [20, 40, 0], (1, 1))},
    "one gradient of two": {"douts": [None]},
    "an output's gradient of fewer steps": {"douts": [torch.ones(4, 4, 40), None]},
    "a state's gradient of fewer rows": {"dlast": [None, torch.ones(3, 40)]},
    "a place too small for dx": {"dx": torch.empty(5, 4, 19)},
    "a place of float64 for dx": {"dx": torch.empty(5, 4, 20, dtype=torch.float64)},
    "one place of two for dstate": {"dstate": places((4, 40))},
    "a place too small for dstate": {"dstate": places((4, 40), (3, 40))},
    "no places for dweights": {"dweights": []},
    "a place too small for dweights": {"dweights": places((160, 20), (160, 39), (160,))},
    "a place of bfloat16 for dweights": {"dweights": places(*SHAPES, dtype=torch.bfloat16)},
}


def test_the_backward_call_that_is_spoilt_below_is_valid():
    for absent in ({}, {"dx": None, "dstate": [None, None], "dweights": [None] * 3}):
        kind, message = apart(lambda absent=absent: raw_backward(**absent))
        assert kind == "returned", message


@pytest.mark.parametrize("name", WRONG_BACKWARD_CALLS)
def test_wrong_backward_calls_of_the_compiled_side_are_refused(name):
    kind, message = apart(lambda: raw_backward(**WRONG_BACKWARD_CALLS[name]))
    assert "ValueError" in kind or "TypeError" in kind, (kind, message)
