"""What the programs in `benchmarks/` make of their measurements, and how it gets into the docs."""

import json

import pytest

from benchmarks import precision, record, robustness
from gatewise.tasks import TASKS, Tagger, fitting
from gatewise.tasks.verdict import judged


def test_a_table_is_put_between_its_own_markers_and_nothing_else_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- x -->\nold\n<!-- /x -->\nb\n<!-- y -->\n<!-- /y -->\nc\n")
    record.write_table("page.md", "y", "| new |")
    record.write_table("page.md", "x", "| newer |")
    record.write_table("page.md", "x", "| newest |")
    assert page.read_text() == "a\n<!-- x -->\n| newest |\n<!-- /x -->\nb\n<!-- y -->\n| new |\n<!-- /y -->\nc\n"


def test_a_card_in_the_docs_has_a_row_for_each_change():
    def found(model, plain):
        return judged(measure="mase", part="all", model=model, plain={"drift": plain}, strongest="drift", share=1.0)[
            "strongest_plain"
        ]

    table = robustness.table({"as it is": found(0.5, 1), "scale": found(0.75, 0.9), "missing": found(0.5, 12.345678)})
    assert table.splitlines() == [
        "| MASE | model | gained | drift | gained |",
        "| --- | --- | --- | --- | --- |",
        "| as it is | 0.5 |  | 1 |  |",
        "| half as much again | 0.75 | -0.250 | 0.9 | +0.100 |",
        "| a tenth of the steps missing | 0.5 | +0.000 | 12.35 | -11.346 |",
    ]


def test_each_task_has_a_card_and_a_row_of_precisions():
    assert {task for task, _ in robustness.CARDS.values()} == set(TASKS)
    assert [row.task for row in precision.rows([]).values()] == [*precision.ROWS]
    assert set(precision.ROWS) == set(TASKS)
    assert set(precision.PARTS) <= set(precision.ROWS.values())
    assert set(robustness.PARTS) <= set(robustness.CARDS)


@pytest.mark.parametrize(
    ("usual", "other", "better", "safe"),
    [
        ([0.9, 0.92], [0.9, 0.92], "more", True),
        ([0.9, 0.92], [0.885, 0.93], "more", True),
        ([0.9, 0.92], [0.875, 0.95], "more", False),  # one seed, whatever the mean
        ([0.9, 0.92], [0.925, 0.92], "less", False),
        ([1.0, 1.0], [0.99, 1.0], "more", False),
    ],
)
def test_no_figure_may_be_worse_by_more_than_the_spread(usual, other, better, safe):
    assert precision.is_safe(usual, other, better) is safe


def test_precisions_are_compared_over_the_seeds_that_have_both():
    def cell(figure, loss, seconds):
        return {"figure": figure, "loss": loss, "steps": 500, "seconds": seconds}

    cells = {
        "wall_following/float32/0": cell(0.9, 0.4, 2.0),
        "wall_following/bfloat16/0": cell(0.9, 0.41, 1.0),
        "wall_following/float32/1": cell(0.92, 0.42, 2.0),
        "wall_following/bfloat16/1": cell(0.94, 0.41, 1.0),
        "wall_following/float32/2": cell(0.1, 9.0, 90.0),
        "skab/bfloat16/0": cell(0.1, 9.0, 90.0),
    }
    found = precision.summary(cells)
    assert [*found] == ["wall_following"]
    row = found["wall_following"]
    assert row["seeds"] == [0, 1]
    assert row["seconds"] == {"float32": 4.0, "bfloat16": 2.0}
    assert row["safe"]
    assert row["quicker"]
    shown = precision.table(found).splitlines()[-1]
    assert shown == (
        "| wall_following | tag | 2 | accuracy | 0.910 (0.900 to 0.920) | 0.920 (0.900 to 0.940) | 0.410 | 0.410 "
        "| 4.0 | 2.0 | yes |"
    )
    json.dumps(found)


def test_a_training_has_the_precision_and_the_part_of_the_steps_that_is_asked_for():
    model = Tagger(epochs=4)
    usual = fitting.plan_of(model, 100, 1e-3)
    with precision.trained_in("bfloat16", 1 / 4):
        plan = fitting.plan_of(model, 100, 1e-3)
    assert (usual.steps, usual.precision) == (100, "32-true")
    assert (plan.steps, plan.precision) == (25, "bf16-mixed")
    assert plan.evaluate_every == 1
    assert fitting.plan_of(model, 100, 1e-3) == usual
