"""Small images and clips with captions, and options with which a captioner learns them quickly."""

import numpy as np

from gatewise.data.paired.captions import from_arrays

SMALL = {"channels": 16, "embedding_size": 16, "hidden_size": 24, "batch_size": 8, "dropout": 0.0}
COLOURS = {"red": (220, 20, 30), "green": (20, 200, 40), "blue": (30, 40, 230)}


def lamps(count, seed=0):
    """A coloured square in the upper or lower half of a dark image, told in two ways."""
    draw = np.random.default_rng(seed)
    images, captions = draw.integers(0, 30, (count, 8, 8, 3)).astype(np.uint8), []
    for image in images:
        name, low = draw.choice(list(COLOURS)), draw.random() < 0.5
        y, x = (4 if low else 0) + draw.integers(0, 2), draw.integers(0, 6)
        image[y : y + 3, x : x + 3] = COLOURS[name]
        place = "bottom" if low else "top"
        captions.append([f"a {name} lamp at the {place}", f"at the {place} there is a {name} lamp"])
    return from_arrays(images, captions)


def walkers(count, seed=0):
    """A dot that goes left or right from the middle, over four to six frames."""
    draw = np.random.default_rng(seed)
    clips, captions = [], []
    for _ in range(count):
        length, way = int(draw.integers(4, 7)), int(draw.choice([-1, 1]))
        clip = np.zeros((length, 6, 12), np.uint8)
        y, x = draw.integers(1, 5), int(draw.integers(5, 7))
        for step in range(length):
            clip[step, y, x + way * min(step, 5)] = 255
        clips.append(clip if draw.random() < 0.5 else np.concatenate([clip[:1], clip]))
        captions.append(f"it goes {'right' if way > 0 else 'left'}")
    return from_arrays(clips, captions)
