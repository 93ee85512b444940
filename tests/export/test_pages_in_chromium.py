"""Pages in a real browser: what their buttons do, in both languages, and that nothing is asked for outside."""

import base64
import hashlib
import io
import re
import shutil
import subprocess

import numpy as np
import pytest
from accessibility import audit, needs_axe
from browser import Browser
from tasks.sequential.test_sequential import lstm, made

from gatewise.cli import main
from gatewise.runtime.sequential import Dense
from gatewise.tasks.classify.estimator import Classifier
from gatewise.tasks.detect.estimator import Detector
from gatewise.tasks.generate.estimator import Generator
from gatewise.tasks.tag.estimator import Tagger

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")

OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=6000", "--enable-logging=stderr")


def shown(page, script, folder):
    """The text of the page after a script has used it, and what the browser complained of."""
    used = folder / "used.html"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = page.read_text().replace("script-src ", f"script-src 'sha256-{digest}' ", 1)
    used.write_text(text.replace("</body>", f"<script>{script}</script></body>"))
    command = [CHROMIUM, *OPTIONS, f"--user-data-dir={folder / 'profile'}", "--dump-dom", used.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line or "Refused" in line]
    return done.stdout[: done.stdout.index("<script")], complaints


def page_of(estimator, data, folder):
    model, page = folder / "model.gatewise", folder / "page.html"
    estimator.fit(data, output=model)
    assert main(["export", str(model), "--to", "html", "-o", str(page), "--force"]) == 0
    return page


def test_a_text_is_continued(tmp_path):
    text = io.StringIO("the cat sat on the mat.\n" * 100)
    page = page_of(Generator(hidden_size=8, epochs=1), text, tmp_path)
    script = 'at("prompt").value = "the Ω"; at("length").value = 40; at("temperature").value = 0; at("write").click();'
    found, complaints = shown(page, script, tmp_path)
    assert not complaints
    written = re.search(r'id="text"[^>]*>([^<]*)<', found)[1]
    assert written.startswith("the Ω")
    assert len(written) == 45
    assert "40 tokens" in found


def test_alarms_in_chinese(tmp_path):
    t = np.arange(600)
    heat = np.sin(t / 9) + 0.05 * np.random.default_rng(0).normal(size=600)
    table = tmp_path / "t.csv"
    table.write_text("\n".join(["heat", *(f"{v:.3f}" for v in heat)]))
    page = page_of(Detector(hidden_size=8, epochs=3), str(table), tmp_path)
    script = """
    at("language").click();
    const heat = Array.from({ length: 40 }, (_, i) => (i === 30 ? 99 : Math.sin(i / 9)));
    at("numbers").value = ["heat", ...heat].join("\\n");
    at("go").click();
    """
    found, complaints = shown(page, script, tmp_path)
    assert not complaints
    assert 'lang="zh"' in found
    assert "监测数据" in found
    assert "<td>30</td><td>heat</td><td>99</td>" in found
    found, _ = shown(page, 'at("numbers").value = "1\\nx"; at("go").click();', tmp_path)
    assert "Row 2 is not 1 numbers: x" in found


def test_a_drawing_is_completed_by_touch(tmp_path):
    rng = np.random.default_rng(1)
    rows = ["key,dx,dy,up"]
    for key in range(12):
        rows += [f"{key},{a:.3f},{b:.3f},{int(k == 19)}" for k, (a, b) in enumerate(rng.normal(0, 0.05, (20, 2)))]
    (tmp_path / "pen.csv").write_text("\n".join(rows))
    estimator = Generator(hidden_size=8, epochs=1, key="key", columns="dx,dy,up")
    page = page_of(estimator, str(tmp_path / "pen.csv"), tmp_path)
    touch = """
    const touch = (kind, x, y) => at("paper").dispatchEvent(new PointerEvent(kind,
      { clientX: at("paper").getBoundingClientRect().left + x, clientY: at("paper").getBoundingClientRect().top + y,
        pointerId: 1, pointerType: "touch", bubbles: true }));
    at("paper").setPointerCapture = () => {};
    touch("pointerdown", 100, 100);
    for (let i = 0; i < 20; i++) touch("pointermove", 100 + 5 * i, 100);
    touch("pointerup", 200, 100);
    at("complete").click();
    """
    found, complaints = shown(page, touch, tmp_path)
    assert not complaints
    assert re.search(r"\d+ steps drawn", found)
    found, _ = shown(page, 'at("complete").click();', tmp_path)
    assert "Draw something first." in found


def test_a_sentence_is_tagged_and_a_text_classified_as_predict_does(tmp_path):
    rng, words = np.random.default_rng(0), [f"w{k}x" for k in range(120)]
    names, tags, texts = ["Maria", "Jones", "Li", "Mr."], ["run,word,label"], ["text,label"]
    for run in range(150):
        said = [names[rng.integers(4)] if rng.random() < 0.4 else rng.choice(words) for _ in range(6)]
        tags += [f"{run},{word},{'B-PER' if word in names else 'O'}" for word in said]
        texts.append(f'"{" ".join(said)}",{"named" if names[0] in said else "other"}')
    (tmp_path / "tags.csv").write_text("\n".join(tags))
    (tmp_path / "texts.csv").write_text("\n".join(texts))
    sizes = {"hidden_size": 8, "embedding_size": 8, "epochs": 3}
    sentence = "Then Maria saw w3x, and Mr. Li didn't."
    tagger = Tagger(key="run", columns="word", char_hidden_size=4, share=0.5, **sizes)
    type_it = f'at("sentence").value = "{sentence}"; at("go").click();'
    found, complaints = shown(page_of(tagger, str(tmp_path / "tags.csv"), tmp_path), type_it, tmp_path)
    assert not complaints
    tagged = re.search(r'id="tagged"[^>]*>(.*?)</div>', found)[1]
    marked = re.sub(r"<ruby[^>]*>([^<]*)<rt>([^<]*)</rt></ruby>", r"[\1: \2]", tagged)
    [answer] = tagger.answers([sentence])
    assert marked == answer.shown
    assert "[Maria: PER]" in marked
    classifier = Classifier(share=0.5, ensemble=1, **sizes)
    found, complaints = shown(page_of(classifier, str(tmp_path / "texts.csv"), tmp_path), type_it, tmp_path)
    assert not complaints
    [answer] = classifier.answers([sentence])
    label, chance = answer.document["predicted"], max(answer.document["probabilities"].values())
    assert re.search(r'id="said"[^>]*>([^<]*)<', found)[1] == label
    assert float(re.search(r"</progress> ([\d.]+)", found)[1]) == pytest.approx(chance, abs=6e-4)
    empty, _ = shown(tmp_path / "page.html", 'at("go").click();', tmp_path)
    assert "Type a text first." in empty


def test_a_series_is_classified(tmp_path):
    t, rows = np.arange(20), ["run,heat,kind,label"]
    for run in range(30):
        heat, label = np.sin(t / (1 + run % 2) + run), "fast" if run % 2 else "slow"
        rows += [f"{run},{v:.3f},{'up' if v > 0 else 'down'},{label}" for v in heat]
    (tmp_path / "runs.csv").write_text("\n".join(rows))
    estimator = Classifier(key="run", hidden_size=8, epochs=2, share=0.5)
    page = page_of(estimator, str(tmp_path / "runs.csv"), tmp_path)
    paste = """
    at("language").click();
    const heat = Array.from({ length: 20 }, (_, t) => Math.sin(t / 2 + 1));
    at("numbers").value = ["kind,heat", ...heat.map((v) => `${v > 0 ? "up" : "down"},${v.toFixed(3)}`)].join("\\n");
    at("go").click();
    """
    found, complaints = shown(page, paste, tmp_path)
    assert not complaints
    run = [f"0,{v:.3f},{'up' if v > 0 else 'down'}" for v in np.sin(t / 2 + 1)]
    (tmp_path / "one.csv").write_text("\n".join(["run,heat,kind", *run]))
    chances = estimator.predict_proba(str(tmp_path / "one.csv"))[0]
    label = str(estimator.targets_.classes[int(chances.argmax())])
    assert re.search(r'id="said"[^>]*>([^<]*)<', found)[1] == label
    assert float(re.search(r"</progress> ([\d.]+)", found)[1]) == pytest.approx(chances.max(), abs=6e-4)
    assert "分类" in found


def test_labels_that_do_not_exclude_one_another(tmp_path):
    """Of an imported model, whose answer is one for all steps, or one for each."""
    values = np.random.default_rng(3).normal(size=(6, 2)).round(3)
    paste = "\\n".join(["x,y", *(",".join(map(str, row)) for row in values)])
    for layers in ([lstm(2, 4, outputs="end")], [lstm(2, 4)]):
        model = made(*layers, Dense(inputs=4, outputs=3, activation="sigmoid"), classes=["a", "b", "c"], columns="x,y")
        model.save(tmp_path / "model.gatewise")
        page = tmp_path / "page.html"
        assert main(["export", str(tmp_path / "model.gatewise"), "--to", "html", "-o", str(page), "--force"]) == 0
        script = f'at("numbers").value = "{paste}"; at("go").click(); '
        script += 'if (at("made")) at("made").textContent = at("made").value;'
        found, complaints = shown(page, script, tmp_path)
        assert not complaints
        [wanted] = model.predict(values[None].astype(np.float32))
        if wanted.ndim == 1:
            chances = model._predictor().outputs([values.astype(np.float32)])[0]
            names = [name for chance, name in sorted(zip(chances, "abc", strict=True), reverse=True) if chance > 0.5]
            assert re.search(r'id="said"[^>]*>([^<]*)<', found)[1] == (", ".join(names) or "no label")
        else:
            lines = re.search(r'id="made"[^>]*>([^<]*)<', found)[1].split()
            assert lines[0] == "x,y,a,b,c"
            np.testing.assert_array_equal([[int(one) for one in line.split(",")[2:]] for line in lines[1:]], wanted)
            assert 0 < wanted.sum() < wanted.size


@needs_axe
@pytest.mark.slow
def test_everybody_can_use_them(tmp_path):
    """The pages that most models have: with a text, with tables and charts, with shares."""
    (tmp_path / "texts.csv").write_text(
        "\n".join(["text,label", *(f"then w{n % 90}x saw w{n % 70}x there and w{n % 50}x,{n % 2}" for n in range(150))])
    )
    (tmp_path / "heat.csv").write_text("\n".join(["heat", *(f"{np.sin(n / 9):.3f}" for n in range(600))]))
    detected = "at('numbers').value = ['heat', ...Array(30).fill(0), 99, 0].join('\\n'); at('go').click()"
    made = {
        Generator(hidden_size=8, epochs=1): (
            io.StringIO("the cat sat on the mat.\n" * 100),
            "at('more').disabled = false",
        ),
        Detector(hidden_size=8, epochs=1): (str(tmp_path / "heat.csv"), detected),
        Classifier(hidden_size=8, epochs=1, share=0.5): (
            str(tmp_path / "texts.csv"),
            "at('sentence').value = 'then w1x'; at('go').click()",
        ),
    }
    for estimator, (data, script) in made.items():
        with Browser(page_of(estimator, data, tmp_path).as_uri()) as browser:
            browser.run(script)
            assert audit(browser) == [], estimator
