import json
import re

import pytest

from gatewise.bench import document, save


def test_a_record_says_where_and_with_what(tmp_path):
    found = document("How fast?", "gatewise bench", {"µs": 1.5})
    assert found.keys() == {"question", "command", "answer", "measured"}
    assert {"day", "processor", "cores", "system", "python", "gatewise", "torch", "numpy"} <= found["measured"].keys()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", found["measured"]["day"])
    save(found, tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == found


def test_a_record_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.json"
    save({"a": 1}, path)
    with pytest.raises(TypeError):
        save({"a": object()}, path)
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]
