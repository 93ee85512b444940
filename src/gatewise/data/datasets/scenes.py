"""Drawn scenes of shapes, with several English captions of each: data to try captions on, made on the spot.

A scene is one thing at some place, a group of equal things, or two things and how they lie. Its content alone decides
whether it belongs to training, validation or test, so that what a test scene shows was never described in training: a
model has to put together what it learned apart.
"""

from __future__ import annotations

import hashlib
import re
from itertools import product

import numpy as np

from ...errors import OptionError, suggest
from ..paired.captions import Captioned, from_arrays

PARTS = {"train": (0.0, 0.8), "validation": (0.8, 0.9), "test": (0.9, 1.0)}  # of all that a scene can be
SIDE = 32  # pixels

SIZES = {"small": ("small", "little"), "large": ("large", "big")}  # and the words for them
COLOURS = {
    "red": (214, 40, 40),
    "green": (40, 160, 60),
    "blue": (45, 85, 215),
    "yellow": (235, 205, 40),
    "purple": (140, 60, 170),
    "white": (250, 250, 250),
}
SHAPES = {"circle": "circles", "square": "squares", "triangle": "triangles", "cross": "crosses"}
PLACES = {  # how captions name them, and where they are, from 0 to 1
    "at the top": (0.5, 0.2),
    "at the bottom": (0.5, 0.8),
    "on the left": (0.2, 0.5),
    "on the right": (0.8, 0.5),
    "in the middle": (0.5, 0.5),
    "in the upper left corner": (0.2, 0.2),
    "in the upper right corner": (0.8, 0.2),
    "in the lower left corner": (0.2, 0.8),
    "in the lower right corner": (0.8, 0.8),
}
GROUPS = {  # and where their members are
    "two": ((0.27, 0.5), (0.73, 0.5)),
    "three": ((0.5, 0.25), (0.26, 0.74), (0.74, 0.74)),
    "four": ((0.26, 0.26), (0.74, 0.26), (0.26, 0.74), (0.74, 0.74)),
}
_RELATIONS = {  # of one thing, a, to another, b: how captions put it, from either's side
    "left of": (
        "{a} to the left of {b}",
        "{b} to the right of {a}",
        "{a} with {b} to its right",
        "{b} with {a} to its left",
        "{a} is to the left of {b}",
        "{b} is to the right of {a}",
    ),
    "above": (
        "{a} above {b}",
        "{b} below {a}",
        "{a} with {b} below it",
        "{b} with {a} above it",
        "{a} is above {b}",
        "{b} is below {a}",
    ),
    "inside": (
        "{a} inside {b}",
        "{b} around {a}",
        "{b} with {a} inside it",
        "{a} is inside {b}",
        "{b} contains {a}",
    ),
}
_PLACED = ("{a} %s", "there is {a} %s", "the picture shows {a} %s", "{a} is %s")
_GROUPED = ("{a}", "there are {a}", "the picture shows {a}", "{a} and nothing else", "a group of {a}")

_THING = re.compile(
    rf"\b(a|{'|'.join(GROUPS)}) ({'|'.join(word for words in SIZES.values() for word in words)}) ({'|'.join(COLOURS)}) "
    rf"({'|'.join([*SHAPES.values(), *SHAPES])})\b"
)

Attributes = dict[str, str]


def scenes(count: int, part: str = "train", seed: int = 0, references: int = 5) -> Captioned:
    """Scenes with their captions, (count, SIDE, SIDE, 3) uint8.

    Args:
        part: "train", "validation" or "test".
        references: Captions of each, at most; all different.

    Example:
        >>> scenes(1000).captions[0]
        ('a small red circle to the left of a large blue square', ...)
    """
    if part not in PARTS:
        raise OptionError(suggest("part", part, PARTS))
    low, high = PARTS[part]
    kinds = [[scene for scene in kind if low <= _place_of(scene) < high] for kind in _every_scene()]
    random = np.random.default_rng([seed, list(PARTS).index(part)])
    images, captions = np.empty((count, SIDE, SIDE, 3), np.uint8), []
    for number in range(count):
        kind = kinds[random.choice(len(kinds), p=(0.2, 0.2, 0.6))]
        scene = kind[random.integers(len(kind))]
        images[number] = _drawn(scene, random)
        captions.append(_described(scene, random, references))
    return from_arrays(images, captions, name=f"scenes, {part}")


def attributes(caption: str) -> Attributes:
    """What a caption says about a scene, by name; what it does not say in the words of `scenes` is left out."""
    things = _THING.findall(caption)
    form = _THING.sub("{}", caption)
    if len(things) == 1:
        [(count, *thing)] = things
        if count in GROUPS:
            return {"count": count, **_thing("", thing)}
        place = next((place for place in PLACES if form.endswith(place)), None)
        return _thing("", thing) | ({} if place is None else {"place": place})
    if len(things) == 2:
        relation, turned = _FORMS.get(form, (None, False))
        first, second = reversed(things) if turned else things
        found = {**_thing("first ", first[1:]), **_thing("second ", second[1:])}
        return found | ({} if relation is None else {"relation": relation})
    return {}


def _thing(which: str, words: list[str] | tuple[str, ...]) -> Attributes:
    size, colour, shape = words
    size = next(name for name, known in SIZES.items() if size in known)
    shape = next(name for name, several in SHAPES.items() if shape in (name, several))
    return {f"{which}size": size, f"{which}colour": colour, f"{which}shape": shape}


# A relation's captions without the things in them -> the relation, and whether b is named before a.
_FORMS = {
    form.format(a="{}", b="{}"): (relation, form.startswith("{b}"))
    for relation, forms in _RELATIONS.items()
    for form in forms
}


def _every_scene() -> tuple[list[Attributes], list[Attributes], list[Attributes]]:
    """All that can be drawn: single things, groups, pairs."""
    things = list(product(SIZES, COLOURS, SHAPES))
    single = [{**_thing("", thing), "place": place} for thing in things for place in PLACES]
    groups = [{"count": count, **_thing("", thing)} for count in GROUPS for thing in things]
    pairs = [
        {**_thing("first ", a), **_thing("second ", b), "relation": relation}
        for relation in _RELATIONS
        for a, b in product(things, things)
        if a != b and (relation != "inside" or ((a[0], b[0]) == ("small", "large") and a[1] != b[1]))
    ]
    return single, groups, pairs


def _place_of(scene: Attributes) -> float:
    """A number from 0 to 1 that only its content decides."""
    return int.from_bytes(hashlib.sha256(repr(sorted(scene.items())).encode()).digest()[:4], "big") / 2**32


# Captions.


def _described(scene: Attributes, random: np.random.Generator, references: int) -> list[str]:
    """Different captions of a scene, in every form once before one comes again."""
    forms: tuple[str, ...] = _GROUPED
    if "place" in scene:
        forms = tuple(form % scene["place"] for form in _PLACED)
    elif "relation" in scene:
        forms = _RELATIONS[scene["relation"]]
    found: list[str] = []
    for form in (forms[i] for _ in range(3) for i in random.permutation(len(forms))):
        if "relation" in scene:
            caption = form.format(a=_phrase("first ", scene, random), b=_phrase("second ", scene, random))
        else:
            caption = form.format(a=_phrase("", scene, random))
        if caption not in found and len(found) < references:
            found.append(caption)
    return found


def _phrase(which: str, scene: Attributes, random: np.random.Generator) -> str:
    size, colour, shape = (scene[f"{which}{name}"] for name in ("size", "colour", "shape"))
    count = scene.get("count", "a")
    return f"{count} {random.choice(SIZES[size])} {colour} {SHAPES[shape] if count in GROUPS else shape}"


# Pictures.


def _drawn(scene: Attributes, random: np.random.Generator) -> np.ndarray:
    """(SIDE, SIDE, 3) uint8: things on a dark ground, all a little different each time."""
    ground = random.uniform(10, 50) + random.normal(0, 6, (SIDE, SIDE, 1)) + np.zeros(3)
    for (x, y), which in _laid_out(scene, random):
        size, colour, shape = (scene[f"{which}{name}"] for name in ("size", "colour", "shape"))
        radius = random.uniform(3.2, 4.0) if size == "small" else random.uniform(6.0, 7.0)
        if scene.get("relation") == "inside" and which == "second ":
            radius = random.uniform(11.0, 12.0)
        inside = _covered(shape, x * SIDE, y * SIDE, radius)[..., None]
        paint = np.array(COLOURS[colour]) + random.normal(0, 8, 3)
        ground = ground * (1 - inside) + paint * inside
    return np.clip(ground, 0, 255).round().astype(np.uint8)


def _laid_out(scene: Attributes, random: np.random.Generator) -> list[tuple[np.ndarray, str]]:
    """Of each thing its middle, from 0 to 1, and the prefix of its attributes; what covers another comes later."""
    if "count" in scene:
        return [(np.array(place) + random.uniform(-0.03, 0.03, 2), "") for place in GROUPS[scene["count"]]]
    if "place" in scene:
        return [(np.array(PLACES[scene["place"]]) + random.uniform(-0.04, 0.04, 2), "")]
    if scene["relation"] == "inside":
        middle = random.uniform(0.42, 0.58, 2)
        return [(middle, "second "), (middle + np.array([0, 0.06]), "first ")]  # where also a triangle is wide enough
    along, across = random.uniform(0.48, 0.54), random.uniform(-0.1, 0.1)
    apart = np.array([along, across] if scene["relation"] == "left of" else [across, along])
    middle = random.uniform(0.47, 0.53, 2)
    return [(middle - apart / 2, "first "), (middle + apart / 2, "second ")]


def _covered(shape: str, x: float, y: float, radius: float, finer: int = 3) -> np.ndarray:
    """(SIDE, SIDE): which share of each pixel the shape covers."""
    places = (np.arange(SIDE * finer) + 0.5) / finer
    u, v = np.abs(places - x)[None], (places - y)[:, None]
    if shape == "circle":
        inside = u**2 + v**2 < radius**2
    elif shape == "square":
        inside = np.maximum(u, np.abs(v)) < 0.86 * radius
    elif shape == "cross":
        inside = (np.minimum(u, np.abs(v)) < 0.32 * radius) & (np.maximum(u, np.abs(v)) < radius)
    else:  # a triangle with its tip up
        inside = (v < 0.8 * radius) & (u < 0.58 * (v + radius))
    return inside.reshape(SIDE, finer, SIDE, finer).mean((1, 3))
