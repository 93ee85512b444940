"""Data of the old models in `tasks/models`, as files that a user has."""

import json

import numpy as np
from PIL import Image
from tasks.test_old_models import MODELS, read


def written(name, folder):
    """The path of data for a model: those that it was asked of before, as a user has them."""
    story, path = json.loads((MODELS / f"{name}.json").read_text()), folder / name
    data = story["data"][0]
    if name.startswith(("classify", "forecast", "tag_numbers")):
        path = path.with_suffix(".csv")
        rows = zip(*data.values(), strict=True)
        path.write_text("\n".join([",".join(data), *(",".join(map(str, row)) for row in rows)]) + "\n")
    elif name == "sequential_texts":
        path = path.with_suffix(".jsonl")
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in data))
    elif name.startswith("detect"):
        path = path.with_suffix(".csv")
        path.write_text("\n".join(["x0,x1", *(f"{a},{b}" for a, b in data["array"])]) + "\n")
    elif name == "generate_text":
        path = path.with_suffix(".txt")
        path.write_text(story["data"][-1]["text"])
    elif name == "tag_entities":
        path = path.with_suffix(".conll")
        path.write_text("\n\n".join("\n".join(f"{token} O" for token in tokens) for tokens in data) + "\n")
    elif name == "translate_characters":
        path = path.with_suffix(".tsv")
        path.write_text("".join(f"{text}\t{text[::-1]}\n" for text in data))
    elif name == "transcribe_lines":
        path.mkdir()
        read(data, path)
        for image in [*path.glob("*.png")]:
            image.with_suffix(".txt").write_text("-|")
    elif name == "caption_images":
        path.mkdir()
        for number, pixels in enumerate(data["array"]):
            Image.fromarray(np.array(pixels, np.uint8)).save(path / f"{number}.png")
        (path / "captions.txt").write_text("".join(f"{n}.png\ta lamp\n" for n in range(len(data["array"]))))
    return path
