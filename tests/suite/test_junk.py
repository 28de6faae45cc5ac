"""Whatever stands in a suite file, loading it gives a suite or says in plain words what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from harness.errors import UserError
from harness.suite.load import load_suite

WORDS = (
    *("suite", "title", "published", "dataset", "backbones", "seeds", "recipe", "methods", "resources", "report"),
    *("profiles", "name", "train_images", "use", "epochs", "dense", "search", "lr", "milestones", "gpu", "cpu", "x"),
    *("rows", "each", "budget", "macs", "params", "match", "allocate", "from", "cuts", "inner", "stream", "global"),
    *("dnal", "l1_norm", "random", "fussy", "cracked", "lambda_a", "threshold", "steps", "start", "depth", "digits"),
    *("vgg_digits", "vgg16", "short_digits", "cifar10", "a / b / c", "..", "", "yes"),
)
words = st.sampled_from(WORDS)
numbers = st.sampled_from([0, 1, -1, 2, 0.5, 1e-4, 1.5, 64, 1e300, 10**30, 10**399, float("inf"), float("nan")])
scalars = words | numbers | st.booleans() | st.none() | st.text(max_size=4)
junk = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words | st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)

SOUND: dict[str, Any] = {
    "suite": "tiny",
    "dataset": "digits",
    "backbones": ["vgg_digits"],
    "seeds": [0, 1],
    "recipe": {"use": "short_digits", "epochs": {"dense": 3}},
    "methods": [
        "dense",
        {"dnal": {"lambda_a": [1e-4, 2e-4], "budget": {"macs": [0.5, 0.25]}}},
        {"each": ["l1_norm", "random"], "budget": {"match": "dnal"}, "cuts": ["inner"]},
        {"random": {"allocate": {"from": "dnal"}, "steps": [[1], [2]]}},
    ],
    "resources": {"gpu": 0.5, "cpu": 1},
    "report": {"x": ["macs"]},
    "profiles": {"smoke": {"seeds": [3]}},
}
checked = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def loads_or_explains(folder: Path, text: str, overrides: list[str]) -> None:
    path = folder / "junk.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    said = ""
    try:
        load_suite(str(path), None, overrides)
    except UserError as error:
        said = str(error) or "nothing was said"
    assert not any(jargon in said for jargon in ("nothing was said", "validation error", "pydantic", "Traceback"))


def as_yaml(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("-Infinity", "-.inf").replace("Infinity", ".inf").replace("NaN", ".nan")


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, entry in inner for place in places(entry, (*path, key)))]


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(value[path[0]], path[1:], new)
    return copy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def test_the_sound_document_is_sound(folder: Path) -> None:
    (folder / "sound.yaml").write_text(as_yaml(SOUND))
    assert len(load_suite(str(folder / "sound.yaml")).cells) == 2 * (1 + 2 + 4 + 4)


@checked
@given(junk)
def test_junk_documents(folder: Path, value: Any) -> None:
    loads_or_explains(folder, as_yaml(value), [])


@checked
@given(st.data())
def test_a_sound_document_with_one_value_replaced_by_junk(folder: Path, data: st.DataObject) -> None:
    value = SOUND
    for _ in range(data.draw(st.integers(1, 2))):
        value = changed(value, data.draw(st.sampled_from(places(value))), data.draw(junk))
    loads_or_explains(folder, as_yaml(value), [])


@checked
@given(st.lists(words | st.sampled_from(["0", "1", "-1", "99"]), min_size=1, max_size=4), junk | st.text(max_size=8))
@example(["methods", "1", "dnal", "lambda_a"], [1e-3])
def test_junk_overrides(folder: Path, path: list[str], value: Any) -> None:
    text = value if isinstance(value, str) else as_yaml(value)
    loads_or_explains(folder, as_yaml(SOUND), [f"{'.'.join(path)}={text}"])


@checked
@given(st.text(max_size=80))
def test_junk_text_after_a_sound_beginning(folder: Path, text: str) -> None:
    loads_or_explains(folder, f"suite: tiny\ndataset: digits\n{text}", [])
