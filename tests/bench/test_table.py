from gatewise.bench import text


def comparison(shape, median, *, peers=("torch",), work="forward"):
    def spread(value):
        return {"median": value, "least": value * 0.9, "most": value * 1.1}

    rows = {"gatewise": {"microseconds": spread(median)}}
    rows |= {name: {"microseconds": spread(median * 2), "ratio": spread(12.0)} for name in peers}
    limit = {"rule": "compute", "floor_microseconds": median / 2, "flops": 1}
    return {
        "work": work, "summary": "LSTM, forward", "cell": "lstm", "shape": shape, "limit": limit,
        "reached_percent": 50.0, "contestants": rows,
    }  # fmt: skip


def document(*comparisons, **more):
    sizes = {f"{16 << n} KiB": 123.4 for n in range(10)}
    ceilings = {"gflops": 491.7, "gflops_by": "a product of 1024 x 1024 matrices", "call_microseconds": {}}
    ceilings["weights_gigabytes_per_second"] = sizes
    return {"threads": 2, "seconds": 2.0, "ceilings": ceilings, "comparisons": comparisons} | more


def test_one_row_in_full():
    shown = text(document(comparison("32,50,16,64", 182.4)))
    assert "float32, 2 threads. Highest measured here: 492 GFLOP/s" in shown
    assert shown.splitlines()[-4:] == [
        "forward: LSTM, forward",
        "B,T,I,H          gatewise    floor limit      %    torch",
        "32,50,16,64        182 µs  91.2 µs compute   50    12.0x",
        "                  164-201                          11-13",
    ]


def test_the_longest_rows_fit_in_80_columns():
    peers = ("torch", "onnxruntime", "jax", "keras")
    memory = [
        {"shape": "20,35,650,650x2", "bytes": {w: {"forward": 1e9, "training": 1e9} for w in ("gatewise", "torch")}}
    ]
    rows = [comparison("64,100,256,1024", median, peers=peers) for median in (0.5, 9.994, 999.4, 99_950, 1.2e6)]
    shown = text(document(*rows, memory=memory))
    assert max(map(len, shown.splitlines())) <= 80
    assert "    999 µs " in shown
    assert "    1.20 s" in shown


def test_every_kind_of_work_has_its_own_peers():
    shown = text(document(comparison("1,1,1,1", 5.0), comparison("1,1,1,1", 5.0, peers=("eager",), work="peephole")))
    heads = [line.split()[5:] for line in shown.splitlines() if line.startswith("B,T,I,H")]
    assert heads == [["torch"], ["eager"]]


def test_memory_alone_and_memory_unknown():
    sizes = {"gatewise": {"forward": 2**20, "training": 2**21}, "torch": {"forward": 2**22, "training": 2**23}}
    shown = text(document(memory=[{"shape": "1,2,3,4", "bytes": sizes}]) | {"ceilings": None})
    assert shown.splitlines()[2].split() == ["B,T,I,H", "gatewise", "torch", "gatewise", "torch"]
    assert shown.splitlines()[3].split() == ["1,2,3,4", "1.0", "4.0", "2.0", "8.0"]
    assert "not measured" in text(document(memory=None) | {"ceilings": None})
