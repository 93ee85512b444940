"""Reports with every part, made up: of a text, of a series, and of as many steps and units as a page may have."""

import numpy as np

from gatewise.explanation.composition import Composition, Piece
from gatewise.explanation.inside import (
    Connectivity,
    Flip,
    FoundUnit,
    GateAblation,
    GridStream,
    Interaction,
    LayerMemory,
    Place,
    Stream,
)
from gatewise.explanation.packed import Packed
from gatewise.explanation.report import (
    Added,
    Answer,
    Attribution,
    Because,
    Choice,
    Contrast,
    Input,
    Provenance,
    Reliability,
    Report,
    Target,
    Term,
)

WORDS = "the plot is thin and the acting is wooden , but I was never bored and the music is a joy to hear"


def provenance(task):
    return Provenance(
        model="mood.gatewise",
        fingerprint="4f" * 32,
        task=task,
        cell="lstm",
        equations=["i = sigmoid(W.i @ x + U.i @ h_prev + b.i)", "c = f * c_prev + i * g", "h = o * tanh(c)"],
        data="reviews.csv",
        row=7,
        command="gatewise explain mood.gatewise reviews.csv --row 7 -o report.html",
        method="integrated gradients from the mean of the training inputs, checked by occlusion",
        points=32,
        seed=0,
        versions={"gatewise": "0.1.0", "python": "3.11.7", "numpy": "2.4.6"},
        seconds=0.8,
    )


def attribution(inputs, draw, others=(), baseline=0.2):
    added, total = [], baseline + sum(one.value for one in others)
    for one in inputs:
        steps = draw.normal(0, 0.05, len(one.labels)) + np.where(
            draw.random(len(one.labels)) < 0.15, draw.normal(0, 1), 0
        )
        channels = None
        if one.kind == "numbers" and len(one.channels) > 1:
            apart = draw.dirichlet(np.ones(len(one.channels)), len(steps)) * steps[:, None]
            channels = Packed.of(apart)
        added.append(Added(input=one.name, steps=steps.tolist(), channels=channels, occluded=(steps * 0.9).tolist()))
        total += steps.sum()
    return Attribution(
        score=total + 0.001,
        baseline=baseline,
        usual="the mean of the training inputs",
        added=added,
        others=others,
        remainder=0.001,
    )


def inside(T, H, draw, layers=("layer 1",)):
    t = np.arange(T)[:, None]
    rate = np.sort(draw.uniform(0.001, 0.6, H))
    streams, memory, ablation = [], [], []
    for layer in layers:
        for name in "ifoghc":
            wave = np.sin(t * rate + draw.uniform(0, 6, H)) + 0.3 * draw.normal(size=(T, H))
            values = (
                1 / (1 + np.exp(-2 * wave))
                if name in "ifo"
                else np.tanh(wave)
                if name != "c"
                else 3 * wave * draw.gamma(1, 3, H)
            )
            streams.append(
                Stream(
                    layer=layer,
                    name=name,
                    gate=name in "ifo",
                    units=draw.permutation(H).tolist(),
                    values=Packed.of(values),
                )
            )
        written = np.exp(-0.1 * np.arange(T)[::-1])
        memory.append(
            LayerMemory(
                layer=layer,
                name="c",
                half_lives=[None, *(0.7 / rate[1:]).tolist()],
                written=(written / written.sum() * 0.99).tolist(),
                initial=0.01,
                life_lines=[None if step % 7 == 0 else float(step % 9) for step in range(T)],
                age=9.5,
                kept=0.83,
                rewrites=layer != layers[0],
            )
        )
        ablation += [
            GateAblation(layer=layer, gate=gate, effect=effect, answer=answer)
            for gate, effect, answer in (("f", -1.2, "bad"), ("i", -0.4, ""), ("o", 0.1, ""))
        ]
    return {"streams": streams, "memory": memory, "gate_ablation": ablation}


def reliability(verdict="rough"):
    reasons = () if verdict == "reliable" else ("the two methods agree only at .62, less than .7",)
    return Reliability(
        gap=0.004,
        points=32,
        deleted=1.4,
        deleted_random=0.3,
        ratio=4.7,
        agreement=0.62,
        randomised=0.1,
        noise=0.98,
        verdict=verdict,
        reasons=reasons,
    )


def target(name, against, **more):
    return Target(
        **{
            "kind": "class",
            "text": f"the lead of {name} over {against}",
            "unit": "nats",
            "name": name,
            "against": against,
            **more,
        }
    )


def text_report(seed=0, T=None, H=48, layers=("layer 1", "layer 2, backward"), labels=None):
    draw = np.random.default_rng(seed)
    labels = labels or WORDS.split()
    labels = labels if T is None else [labels[i % len(labels)] for i in range(T)]
    T = len(labels)
    inputs = [Input(name="text", kind="tokens", labels=labels, separator=" ")]
    found = attribution(inputs, draw)
    near = np.abs(np.arange(T)[:, None] - np.arange(T)[None]).astype(float)
    shown = np.arange(T)[:: max(1, T // 400)]
    strength = np.where(near >= 0, np.exp(-near / 8) * draw.gamma(2, 0.5, (T, T)), 0)[np.ix_(shown, shown)]
    return Report(
        answer=Answer(
            text="good",
            probability=0.81,
            base_rate_of="120 rows of reviews.csv",
            choices=[
                Choice(name="good", probability=0.81, score=1.4, base_rate=0.5),
                Choice(name="bad", probability=0.16, score=0.1, base_rate=0.4),
                Choice(name="</script><b>mixed", probability=0.03, score=-1.0, base_rate=0.1),
            ],
            network_share=0.7,
            plain="TF-IDF of words",
        ),
        target=target("good", "bad"),
        inputs=inputs,
        provenance=provenance("classify"),
        attribution=found,
        because=Because(sentence="-", terms=[Term(text="all", kind="rest", value=found.score)], score=found.score),
        contrasts=[Contrast(target=target("good", "mixed"), attribution=attribution(inputs, draw))],
        connectivity=Connectivity(
            input="text", outputs=shown.tolist(), inputs=shown.tolist(), strength=Packed.of(strength), skipped=""
        ),
        units=[
            FoundUnit(
                layer="layer 1",
                unit=17,
                feature="inside quotation marks",
                correlation=-0.7,
                unseen=-0.59,
                null=0.24,
                silenced={"closing quote": 1.58, "other": 0.06},
                confirmed=True,
            ),
            FoundUnit(
                layer="layer 2, backward",
                unit=3,
                feature="depth of brackets",
                correlation=-0.42,
                unseen=-0.44,
                null=0.31,
                silenced={"closing bracket": 0.03},
                confirmed=False,
            ),
        ],
        flip=Flip(places=[Place(input="text", step=T - 3)], score=-0.2, answer="bad", exhaustive=True),
        interactions=[
            Interaction(
                input="text",
                first=(12, 12),
                second=(13, 13),
                texts=("never", "bored"),
                alone=(-0.6, -0.9),
                together=0.7,
            )
        ],
        reliability=reliability(),
        missing={"walk": "not asked for", "composition": "not of texts", "grids": "no image"},
        **inside(T, H, draw, layers),
    )


def composition(T, draw):
    steps = draw.normal(0, 0.1, T)
    linear = Piece(
        text="the linear part of the network",
        value=400 + steps.sum(),
        input="series",
        usual=400.0,
        steps=steps.tolist(),
    )
    rest = Piece(text="plain methods", value=30.0)
    return Composition(
        text="the forecast of co2, 7 steps ahead",
        value=linear.value + rest.value,
        pieces=[linear, rest],
        rivals=[Piece(text="what it might have been", value=3.0)],
        input="series",
        occluded=(steps * 2).tolist(),
    )


def series_report(seed=1, T=96, channels=("co2", "temperature", "wind")):
    draw = np.random.default_rng(seed)
    t = np.arange(T)[:, None]
    values = np.sin(t / np.array([4, 9, 15.0])) * [30, 5, 2] + [400, 12, 4] + draw.normal(size=(T, 3))
    values[10:13, 1] = np.nan
    labels = [f"2026-03-{1 + step // 24:02} {step % 24:02}:00" for step in range(T)]
    inputs = [Input(name="series", kind="numbers", labels=labels, channels=channels, values=Packed.of(values))]
    missing = ("grids", "because", "contrasts", "connectivity", "units", "flip", "interactions", "walk")
    return Report(
        answer=Answer(
            text="co2 431 ppm at 2026-03-05 06:00",
            interval=(421.0, 440.0),
            coverage=0.8,
            network_share=0.0,
            plain="ridge",
        ),
        target=Target(kind="quantile", text="the .9 quantile", unit="ppm", name="co2", horizon=7, quantile=0.9),
        inputs=inputs,
        provenance=provenance("forecast"),
        attribution=attribution(inputs, draw),
        composition=composition(T, draw),
        reliability=reliability("reliable"),
        missing=dict.fromkeys(missing, "not asked for"),
        **inside(T, 32, draw),
    )


def media_report(seed=2):
    """An image of 12 by 16 places, a spectrum, and what was written."""
    draw = np.random.default_rng(seed)
    image = np.exp(-((np.arange(192) // 16 - 5) ** 2 + (np.arange(192) % 16 - 9) ** 2) / 14.0)[:, None]
    sound = draw.gamma(2, 1, (60, 20)) * np.linspace(2, 0.2, 20)
    inputs = [
        Input(name="image", kind="image", labels=[""] * 192, values=Packed.of(image), grid=(12, 16)),
        Input(
            name="sound",
            kind="spectrum",
            labels=[f"{step / 100:.2f} s" for step in range(60)],
            channels=[f"{40 * c} Hz" for c in range(20)],
            values=Packed.of(sound),
        ),
        Input(name="written", kind="tokens", labels=["a", "red", "ball"], separator=" "),
    ]
    missing = (
        "because",
        "composition",
        "contrasts",
        "connectivity",
        "units",
        "flip",
        "interactions",
        "walk",
        "streams",
        "memory",
        "gate_ablation",
    )
    return Report(
        answer=Answer(text="a red ball rolls", probability=0.4),
        target=Target(kind="word", text="rolls", unit="nats", name="rolls", against="lies", step=3),
        inputs=inputs,
        provenance=provenance("caption"),
        attribution=attribution(inputs, draw),
        grids=[
            GridStream(
                layer=f"reader, from the {corner}",
                name=name,
                gate=name == "f_up",
                grid=(3, 5),
                units=[0, 1],
                values=Packed.of(draw.random((15, 2)) - (name == "c")),
            )
            for corner in ("top left", "bottom right")
            for name in ("f_up", "c")
        ],
        reliability=reliability("do not rely on this"),
        missing=dict.fromkeys(missing, "only of text"),
    )
