from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.errors import SuiteError, UserError
from harness.suite import load as load_module
from harness.suite.cell import DataChoice
from harness.suite.grid import cells
from harness.suite.load import find_suite, load_suite
from harness.suite.problems import Problems
from harness.suite.resolve import resolved
from harness.suite.schema import TOP_LEVEL, declared
from harness.suite.source import read
from tests.suite.conftest import HEAD, Load


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shipped"
    folder.mkdir()
    (folder / "quickstart.yaml").write_text(f"{HEAD}methods: [dense]\n")
    monkeypatch.setattr(load_module, "shipped_suites", lambda: folder)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.mark.parametrize("reference", ["quickstart", "quickstart.yaml"])
def test_a_shipped_suite_is_found_by_its_name(shipped: Path, reference: str) -> None:
    assert find_suite(reference) == shipped / "quickstart.yaml"


def test_a_file_comes_before_a_shipped_suite_of_its_name(shipped: Path) -> None:
    Path("quickstart.yaml").write_text("")
    assert find_suite("quickstart.yaml") == Path("quickstart.yaml")


def test_a_missing_suite_names_the_nearest_shipped_one(shipped: Path) -> None:
    with pytest.raises(UserError, match="there is no suite 'quikstart'; did you mean 'quickstart'"):
        load_suite("quikstart")


def test_a_missing_file_names_the_nearest_file_beside_it(shipped: Path) -> None:
    with pytest.raises(UserError, match=r"did you mean 'shipped/quickstart\.yaml'"):
        load_suite("shipped/quickstrt.yaml")


@pytest.mark.parametrize("reference", ["shipped", "", "a\0b", "x" * 5000, "zzz"])
def test_what_is_no_file_is_refused_in_one_line(shipped: Path, reference: str) -> None:
    with pytest.raises(UserError) as caught:
        load_suite(reference)
    assert "\n" not in str(caught.value)


def test_a_suite_holds_everything_resolved(load: Load) -> None:
    suite = load(
        "suite: my-table.v2\ntitle: A title\npublished: dnal_2022 / CIFAR-10 / VGG16\n"
        "dataset: {name: digits, train_images: 640}\nbackbones: [vgg_digits]\nseeds: [2, 0]\n"
        "recipe: {use: short_digits, lr: 0.05, milestones: [0.3]}\nmethods: [dense]\nresources: {gpu: 0.25, cpu: 3}\n"
    )
    assert (suite.name, suite.title, suite.published) == ("my-table.v2", "A title", "dnal_2022 / CIFAR-10 / VGG16")
    assert (suite.data, suite.backbones, suite.seeds) == (DataChoice("digits", 640), ("vgg_digits",), (2, 0))
    assert (suite.recipe_name, suite.recipe.lr, suite.recipe.milestones) == ("short_digits", 0.05, (0.3,))
    assert (suite.resources.gpu, suite.resources.cpu) == (0.25, 3)
    assert (suite.report.x, suite.report.rows) == (("macs", "params"), "paper")
    assert [cell.recipe for cell in suite.cells] == [suite.recipe] * 2


def test_the_name_stands_in_for_a_title(load: Load) -> None:
    assert load(methods="  - dense").title == "tiny"


def test_paper_recipes_may_train_on_the_held_out_images_too(load: Load) -> None:
    text = f"{HEAD}methods: [dense]\n".replace("dataset: digits", "dataset: {name: digits, train_images: 1437}")
    with pytest.raises(SuiteError, match="must be at most 1293"):
        load(text)
    assert load(text, overrides=["recipe.all_train=true"]).data.train_images == 1437


@pytest.mark.parametrize("gpu", [0, 1, 4, 0.5, 0.25, 0.2, 0.3333, 0.125])
def test_a_share_of_a_gpu_that_divides_it_is_accepted(load: Load, gpu: float) -> None:
    assert load(methods="  - dense", overrides=[f"resources.gpu={gpu}"]).resources.gpu == gpu


def test_comments_and_the_spelling_of_names_leave_the_digest_and_settings_change_it(load: Load) -> None:
    plain = load(methods="  - dense").digest
    assert load(methods="  - dense  # the whole net").digest == plain
    assert load(methods="  - dense", overrides=["recipe={use: short_digits}"]).digest == plain
    assert load(methods="  - dense", overrides=["seeds=[1]"]).digest != plain
    assert load(methods="  - dense", overrides=["recipe.lr=0.2"]).digest != plain


def test_the_same_file_gives_the_same_cells(load: Load) -> None:
    methods = "  - dnal: {lambda_a: [1e-4, 2e-4]}\n  - {each: [l1_norm, random], budget: {match: dnal}}"
    assert load(methods=methods).cells == load(methods=methods).cells


def test_all_cells_of_a_suite_have_their_own_label(load: Load) -> None:
    methods = (
        "  - dense\n  - dnal: {lambda_a: [1e-4, 1.00000001e-4]}\n"
        "  - {each: [l1_norm, random], budget: [{match: dnal}, {macs: [0.5, 123456788, 123456789]}]}\n"
        "  - {each: [l1_norm, random], allocate: {from: dnal}}\n  - l1_norm: {budget: {macs: 0.5}, allocate: global}"
    )
    labels = [cell.label for cell in load(methods=methods).cells]
    assert len(set(labels)) == len(labels) == 18


def test_a_thousand_cells_are_written_out_in_well_under_a_second(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    budgets = ", ".join(f"{(index + 1) / 101:.4f}" for index in range(100))
    path.write_text(
        HEAD.replace("[0]", "[0, 1, 2, 3, 4]")
        + f"methods:\n  - {{each: [l1_norm, random], budget: {{macs: [{budgets}]}}}}\n"
    )
    problems = Problems(str(path))
    declaration = declared(resolved(read(path, problems), TOP_LEVEL, None, [], problems), problems)
    problems.raise_any()
    assert declaration is not None
    started = time.process_time()
    assert len(cells(declaration)) == 1000
    assert time.process_time() - started < 1


def test_loading_a_suite_imports_neither_torch_nor_ray() -> None:
    code = "import sys, harness.suite.load; print([n for n in ('torch', 'ray', 'pandas', 'scipy') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
