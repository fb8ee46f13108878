"""Every method has its page, which says what the registry and the records say, and whose code runs."""

import json
import re
from pathlib import Path

import pytest

from headstart.experiments.methods import METHODS
from headstart.reports.measured import measured

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "methods"
OTHERS = {"index", "compared"}
INDEX = (PAGES / "index.md").read_text()
RECORDS = [json.loads(path.read_text()) for path in sorted((ROOT / "results").glob("*.json"))]
FAMILIES = {
    "initial weights": "initialisation",
    "the update rule, too": "update rule",
    "the structure, too": "structure",
    "a metric": "metric",
    "baselines": "baseline",
}
SMALLER = {
    r"meta_steps=\d+(, meta_batch=\d+)?": "meta_steps=2, meta_batch=2",
    r"count=\d+": "count=2",
    r"queries=15": "queries=2",
    r"width=\d+": "width=4",
    r"draw_glyphs\(\d+": "draw_glyphs(40",
}
"""As much of the pages' budgets as shows that the code runs."""


def test_every_method_has_its_page() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} == {*METHODS} | OTHERS


@pytest.mark.parametrize("name", METHODS)
def test_the_page_agrees_with_the_registry(name: str) -> None:
    page, method = (PAGES / f"{name}.md").read_text(), METHODS[name]
    title, _, facts, _, learns, *_ = page.splitlines()
    assert title.startswith(f"# `{name}`: ")
    costs = f"gradients of a task with s inner steps: {method.cost}"
    assert facts == f"`--method {name}` · `{method}` · derivatives of order {method.order} · {costs}"
    assert learns.startswith("*F* learns ")
    assert f"\n**Source.** {method.source}" in page
    assert f"```{{measured}} {name}\n```" in page
    assert len(re.findall(r"^\$\$ .* \$\$$", page, re.MULTILINE)) == 2
    assert 20 <= len(page.splitlines()) <= 40


def test_the_index_has_every_method_in_its_family_and_in_the_table_of_contents() -> None:
    families, family = {}, ""
    for chosen, name in re.findall(r"^\|(?: \*\*(.*)\*\* |  )\| \[`(\w+)`\]\(\2\.md\) \| ", INDEX, re.MULTILINE):
        family = FAMILIES[chosen] if chosen else family
        families[name] = family
    assert families == {name: method.family for name, method in METHODS.items()}
    assert re.findall(r"^(\w+) <\1>$", INDEX, re.MULTILINE) == [*families]


@pytest.mark.parametrize("name", METHODS)
def test_the_code_of_the_page_runs_and_prints(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (PAGES / f"{name}.md").read_text(), re.DOTALL)
    assert str(METHODS[name]).partition("(")[0] in code
    for large, small in SMALLER.items():
        code = re.sub(large, small, code)
    exec(compile(code, f"{name}.md", "exec"), {})
    assert capsys.readouterr().out


def test_the_measured_rows_are_those_of_the_page_of_results() -> None:
    results = (ROOT / "docs" / "results.md").read_text()
    for record in RECORDS:
        (row,) = re.findall(rf"^\| {record['recipe']} \| .*$", measured(record["method"], RECORDS), re.MULTILINE)
        (full,) = re.findall(rf"^\| {record['recipe']} \| .*$", results, re.MULTILINE)
        assert {*row.split(" | ")} <= {cell.removesuffix(" |") for cell in full.split(" | ")} | {row.split(" | ")[-1]}


def test_a_record_is_measured_at_its_published_setting_or_the_page_says_that_none_is() -> None:
    record = next(row for row in RECORDS if row["recipe"] == "maml-omniglot-5w1s")
    assert "98.98 ± 0.29" in measured("maml", [record]) and "Not measured" not in measured("maml", [record])
    assert "97.00 ± 0.29" in measured("maml", [{**record, "value": 0.97}])
    tenth = measured("maml", [{**record, "meta_steps": 6000}])
    assert tenth.startswith("Not measured yet") and "| 6,000 of 60,000 |" in tenth
    assert measured("maml", [{**record, "study": "Why?"}]).count("\n") == 0
    assert measured("fomaml", [record]) == measured("fomaml", [])
    own = measured("proto_net", [{**record, "method": "proto_net", "published": None}])
    assert own.startswith("Not measured yet") and "98.98" in own
