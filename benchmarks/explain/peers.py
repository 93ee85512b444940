"""Other libraries' explanations of the same networks from the same numbers: captum, SHAP and TimeSHAP."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.explanation.attribution import attributed, gradients
from gatewise.explanation.question import Question
from gatewise.explanation.questions import question

from .truth import TASKS, Figures, fitted

ROWS, FEW = 100, 20  # explained by SHAP, and by TimeSHAP, which takes long
POINTS = 32  # of captum and ours, where both are to be equal
EQUAL = 20  # rows that captum explains, too
REPEATED = 15  # times
BACKGROUND = 64  # rows that SHAP begins at
SAMPLES = {"SHAP, gradients": 200, "TimeSHAP": 2000}  # SHAP's own default; a sixteenth of TimeSHAP's examples'

Explain = Callable[[Question], np.ndarray]  # (T,) what each step adds


def measured(name: str, models: Path | None = None) -> dict[str, Any]:
    """The net of the first seed."""
    task = TASKS[name]()
    model = fitted(name, task, 1, models)
    data, every = task.read(model), task.asked(model)
    asked = [(row, question(model, data, row, ask)[0]) for row, ask in every[:ROWS]]
    background = [question(model, data, row, ask)[0] for row, ask in every[-BACKGROUND:]]
    methods: dict[str, tuple[Explain, int]] = {
        "attribution": (lambda one: attributed(one).steps, ROWS),
        "SHAP, gradients": (lambda one: by_shap(one, background), ROWS),
        "TimeSHAP": (by_timeshap, FEW),
    }
    found = {}
    for method, (explained, rows) in methods.items():
        if method != "attribution" and not comparable(asked[0][1], background):
            continue
        figures, times = Figures(), []
        for row, one in asked[:rows]:
            began = time.perf_counter()
            steps = explained(one)
            times.append(1000 * (time.perf_counter() - began))
            known = task.known(row, one)
            figures.row(steps, known if known.ndim == 1 else known.any(1), None)
        found[method] = {**figures.means(), "rows": rows, "ms a row": float(np.median(times))}
        print(name, method, found[method], flush=True)
    return {
        "methods": found,
        "captum": captum([one for _, one in asked[:EQUAL]]),
        "samples": SAMPLES,
        "versions": {peer: version(peer) for peer in ("captum", "shap", "timeshap")},
    }


def comparable(one: Question, background: Sequence[Question]) -> bool:
    """Whether these peers can explain it: one input of rows that are equally long."""
    return len(one.parts) == 1 and all(one.parts[0].values.shape == other.parts[0].values.shape for other in background)


def captum(asked: Sequence[Question]) -> dict[str, float]:
    """The largest difference from captum's integrated gradients at as many points, relative to the largest part, in
    double precision, as a jump is too short for single; and both times for the first row, alternating, in single."""
    import torch
    from captum.attr import IntegratedGradients

    def theirs(one: Question, net: Any) -> list[np.ndarray]:
        peer = IntegratedGradients(lambda *inputs: one.scores(net, [part.swapaxes(0, 1) for part in inputs]))
        rows, usual = (
            tuple(torch.from_numpy(np.array(getattr(part, which)))[None].to(dtype(net)) for part in one.parts)
            for which in ("values", "usual")
        )
        found = peer.attribute(rows, baselines=usual, n_steps=POINTS, method="gausslegendre")
        return [part[0].detach().double().numpy() for part in found]

    def ours(one: Question, net: Any) -> Sequence[np.ndarray]:
        return gradients(one, net, POINTS)

    exact, differences = copy.deepcopy(asked[0].trainable()).double(), []
    for one in asked:
        pairs = zip(ours(one, exact), theirs(one, exact), strict=True)
        differences.append(max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs))
    times: dict[str, list[float]] = {"ours": [], "captum": []}
    for _ in range(REPEATED):
        for label, function in (("ours", ours), ("captum", theirs)):
            began = time.perf_counter()
            function(asked[0], asked[0].trainable())
            times[label].append(1000 * (time.perf_counter() - began))
    ratios = np.sort(np.array(times["captum"]) / np.array(times["ours"]))
    return {
        "largest difference": max(differences),
        **{f"{label} ms": float(np.median(own)) for label, own in times.items()},
        "ratio": float(np.median(ratios)),
        "ratio, least": float(ratios[1]),
        "ratio, most": float(ratios[-2]),
    }


def dtype(net: Any) -> Any:
    return next(net.parameters()).dtype


def by_shap(one: Question, background: Sequence[Question]) -> np.ndarray:
    """Expected gradients: from other rows, at random points on the way."""
    import torch
    from shap import GradientExplainer

    class Score(torch.nn.Module):
        def forward(self, x: Any) -> Any:  # (N, T, D)
            return one.scores(net, [x.swapaxes(0, 1)])[:, None]

    net = one.trainable()
    rows = torch.from_numpy(np.stack([other.parts[0].values for other in background]))
    explainer = GradientExplainer(Score(), rows)
    values = explainer.shap_values(
        torch.from_numpy(np.array(one.parts[0].values))[None], nsamples=SAMPLES["SHAP, gradients"], rseed=0
    )
    return np.asarray(values).reshape(one.parts[0].values.shape).sum(1)


def by_timeshap(one: Question) -> np.ndarray:
    """Shapley values of steps by TimeSHAP's kernel, beside the usual step, without pruning: it gathers what came
    first."""
    import shap.explainers._kernel as kernel

    kernel.Kernel = kernel.KernelExplainer  # the name under which TimeSHAP 1.0 imports it
    from timeshap.explainer import local_event

    [part] = one.parts

    def score(rows: np.ndarray) -> np.ndarray:  # (N, T, D)
        return one.read([np.ascontiguousarray(rows.swapaxes(0, 1), np.float32)])[:, None]

    found = local_event(
        score,
        part.values[None].astype(np.float64),
        {"rs": 0, "nsamples": SAMPLES["TimeSHAP"]},
        None,
        None,
        part.usual[:1].astype(np.float64),
        0,
    )
    return found["Shapley Value"].to_numpy(float)[::-1]  # the last step comes first
