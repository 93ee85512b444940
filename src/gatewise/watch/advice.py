"""What is wrong with a training, as far as its record is evidence for it.

Each rule has a sign that a look shows or not, and is told only if the last looks show it one after the other. A test
causes each illness, and shows that what is advised helps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

Look = Mapping[str, Any]  # a line of the history, see `look.Look.look`
Figures = dict[str, Any]  # what is told of a sign

REPEATED = 2  # looks that must show a sign
BEGAN_STUCK, STUCK = 0.8, 0.7  # of the values of a layer's gates, saturated: at the first look, and now
UNMOVED, MOVED = 0.9, 0.3  # of gate values in the middle; and what weights moved by, as a share of their size
UNCHANGED = 0.9  # of the first loss
CLIPPED, SHORTENED = 0.5, 5.0  # of the steps; and their gradients' norms over the limit, in the median
ROOM = 10.0  # of what a limit should be over the usual norm: it is there for outliers
SURE = 8.0  # standard deviations
FLAT = 0.1  # of the spread of what is wanted
IDLE, ZERO = 0.3, 0.5  # of the units
LEARNED = 0.5  # of the first loss
APART, RISEN = 0.5, 1.1  # of the first validation loss, by which the gap has grown; and of the lowest


@dataclass(frozen=True)
class Advice:
    """What is told.

    Attributes:
        sign: Name of the rule.
        step: The first of the looks in a row that show it.
        figures: What the last look shows, by name, and what follows from it.
        english, chinese: One or two sentences: what is seen, and what helps.
    """

    sign: str
    step: int
    figures: Figures
    english: str
    chinese: str


@dataclass(frozen=True)
class Rule:
    """A sign, and what is said of it.

    Attributes:
        sign: Of a look and all those before it, oldest first, the figures to tell; None where it does not show.
        english, chinese: With the figures' names in braces; "lower" and "higher" are a third and ten times of the
            highest learning rate.
    """

    sign: Callable[[Look, Sequence[Look]], Figures | None]
    english: str
    chinese: str


def advice(history: Sequence[Mapping[str, Any]]) -> list[Advice]:
    """All that the lines of a history are evidence for, the cause before what may follow from it."""
    looks = [line for line in history if line["kind"] == "look"]
    found = []
    for name, rule in RULES.items():
        signs = [rule.sign(look, looks[:place]) for place, look in enumerate(looks)]
        last = next((n for n, sign in enumerate(reversed(signs)) if sign is None), len(signs))
        if last < REPEATED:
            continue
        rate = max(line["learning_rate"] for line in history if line["kind"] != "race")
        figures: Figures = {"lower": rate / 3, "higher": 10 * rate, **(signs[-1] or {})}
        told = {key: f"{value:.2g}" if isinstance(value, float) else value for key, value in figures.items()}
        words = rule.english.format(**told), rule.chinese.format(**told)
        found.append(Advice(name, looks[-last]["step"], figures, *words))
    return found


# The signs.


def _stuck(look: Look, before: Sequence[Look]) -> Figures | None:
    # Gates that learn become sure of themselves: saturation by itself is no illness, but at the first look it is.
    first = (before[0] if before else look)["layers"]
    shares = {
        n: _saturated(own) for n, own in look["layers"].items() if n in first and _saturated(first[n]) > BEGAN_STUCK
    }
    worst = _most(shares)
    return None if worst is None or worst[1] <= STUCK else {"layer": worst[0], "percent": round(100 * worst[1])}


def _saturated(layer: Mapping[str, Any]) -> float:
    """Of the values of its sigmoids, below .05 or above .95; 0 without any."""
    shares = [gate["low"] + gate["high"] for gate in layer["gates"].values() if "low" in gate]
    return fmean(shares) if shares else 0.0


def _unmoved(look: Look, before: Sequence[Look]) -> Figures | None:
    middles = [gate["middle"] for layer in look["layers"].values() for gate in layer["gates"].values() if "low" in gate]
    if not middles or median(middles) < UNMOVED or look["epoch"] < 1 or not before:
        return None
    now, first = look["losses"][0], before[0]["losses"][0]
    if now is None or first is None or now < UNCHANGED * first:
        return None
    every = [*before, look]
    spans = [own["step"] - start for own, start in zip(every, [0, *(one["step"] for one in every)], strict=False)]
    moved = sum(span * _update(one) for span, one in zip(spans, every, strict=True))
    return {"percent": round(100 * median(middles)), "moved": moved} if moved < MOVED else None


def _update(look: Look) -> float:
    """What a step changed of a tensor, as a share of its size: the median over tensors; 0 where it was not measured."""
    return median(look["updates"].values()) if look["updates"] else 0.0


def _clipped(look: Look, before: Sequence[Look]) -> Figures | None:
    clipped = look["clipped"]
    if clipped is None or clipped["share"] <= CLIPPED or clipped["ratio"] <= SHORTENED:
        return None
    return {"percent": round(100 * clipped["share"]), **clipped, "enough": ROOM * clipped["ratio"] * clipped["limit"]}


def _beyond(look: Look, before: Sequence[Look]) -> Figures | None:
    for name, layer in look["layers"].items():
        lag, strength = layer.get("beyond") or (0, 0.0)
        was = (before[-1]["layers"].get(name, {}).get("beyond") if before else None) or (lag, 0.0)
        if strength >= SURE and was[0] == lag:
            return {"layer": name, "lag": int(lag), "reach": layer["reach"], "strength": strength}
    return None


def _flat(look: Look, before: Sequence[Look]) -> Figures | None:
    spread = look["spread"]
    return {"percent": round(100 * spread)} if spread is not None and spread < FLAT else None


def _zero(look: Look, before: Sequence[Look]) -> Figures | None:
    worst = _most({name: layer["zero"] or 0.0 for name, layer in look["layers"].items()})
    return None if worst is None or worst[1] <= ZERO else {"layer": worst[0], "percent": round(100 * worst[1])}


def _idle(look: Look, before: Sequence[Look]) -> Figures | None:
    worst = _most({name: layer["dead"] + layer["twin"] for name, layer in look["layers"].items()})
    if worst is None or worst[1] <= IDLE or _zero(look, before) or not _learned(look, before):
        return None
    name, share = worst
    layer = look["layers"][name]
    # In every layer so many do something, and a multiple of 8 is what the engine likes.
    busy = max(round((1 - own["dead"] - own["twin"]) * own["units"]) for own in look["layers"].values())
    enough = max(8, -(-busy // 8) * 8)
    return {"layer": name, "percent": round(100 * share), "units": layer["units"], "enough": enough}


def _learned(look: Look, before: Sequence[Look]) -> bool:
    """Whether the loss is far below that of the first look: units that have learned nothing yet are all alike."""
    now, first = look["losses"][0], before[0]["losses"][0] if before else None
    return now is not None and first is not None and now < LEARNED * first


def _apart(look: Look, before: Sequence[Look]) -> Figures | None:
    every = [one["losses"] for one in (*before, look)]
    if any(loss is None for losses in every for loss in losses):
        return None
    (first_training, first), (training, validation) = every[0], every[-1]
    # What was apart from the first look on is of different kinds, and was not learned.
    grown = (validation - training) - (first - first_training)
    if grown <= APART * abs(first) or validation <= RISEN * min(losses[1] for losses in every):
        return None
    return {"training": training, "validation": validation}


def _most(shares: Mapping[str, float]) -> tuple[str, float] | None:
    return max(shares.items(), key=lambda item: item[1], default=None)


# What is said, the most telling first.
RULES = {
    "stuck": Rule(
        _stuck,
        "The gates of {layer} are stuck: {percent} % of their values are below .05 or above .95. Lower the learning "
        "rate to a third, {lower}, and start anew",
        "{layer} 的门卡住了：{percent}% 的门值低于 0.05 或高于 0.95。请把学习率降到三分之一（{lower}），重新训练",
    ),
    "unmoved": Rule(
        _unmoved,
        "The gates have learned nothing: {percent} % of their values are between .4 and .6, and the loss is where it "
        "was. Raise the learning rate, to {higher} for example, or train longer",
        "门没有学到东西：{percent}% 的门值在 0.4 到 0.6 之间，损失没有下降。请提高学习率（例如 {higher}），或训练更久",
    ),
    "clipped": Rule(
        _clipped,
        "The limit decides the steps: {percent} % of the gradients were clipped, to 1/{ratio} of their norm in the "
        "median. A limit is there for outliers: raise clip to {enough}",
        "步长由裁剪决定：{percent}% 的梯度被裁剪，中位数缩到 1/{ratio}。"
        "裁剪是为了离群的梯度：请把 clip 提高到 {enough}",
    ),
    "beyond": Rule(
        _beyond,
        "The network does not reach back {lag} steps, from where the loss wants something ({strength} standard "
        "deviations): its gradient ends after {reach}. Begin with open forget gates, shorten the sequences, or choose "
        "a cell that keeps longer",
        "网络够不到 {lag} 步之前，而损失需要那里的信息（{strength} 个标准差）：梯度在 {reach} 步后消失。"
        "请让遗忘门一开始打开、缩短序列，或选择记忆更久的单元",
    ),
    "flat": Rule(
        _flat,
        "It says the mean: its predictions vary {percent} % as much as what is wanted. Train longer or at a higher "
        "rate; if that changes nothing, there is no signal, and the plain baseline is as good",
        "它只会说平均值：预测的变化只有目标的 {percent}%。请训练更久或提高学习率；"
        "若无改变，数据中没有信号，简单基线一样好",
    ),
    "zero": Rule(
        _zero,
        "{percent} % of the rectified units of {layer} are always zero. Lower the learning rate to a third, "
        "{lower}, and start anew",
        "{layer} 有 {percent}% 的整流单元恒为零。请把学习率降到三分之一（{lower}），重新训练",
    ),
    "idle": Rule(
        _idle,
        "{percent} % of the {units} units of {layer} do nothing, or what another one does: hidden_size={enough} would "
        "do",
        "{layer} 的 {units} 个单元中有 {percent}% 什么也不做，或与别的单元重复：hidden_size={enough} 就够了",
    ),
    "apart": Rule(
        _apart,
        "It learns its data by heart: a loss of {training} in training and {validation} in validation. Give it "
        "dropout, a smaller network or more data; the weights of the best validation are kept",
        "它在背训练数据：训练损失 {training}，验证损失 {validation}。"
        "请使用 dropout、更小的网络或更多数据；已保留验证最好的权重",
    ),
}
