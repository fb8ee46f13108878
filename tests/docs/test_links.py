"""Every link, picture and file that a page names is there, and nothing was left to fill in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
CODE = re.compile(r"^(`{3,})[^\n{]*\n.*?^\1$|^```\{code-cell\}.*?^```$|`[^`\n]*`", re.DOTALL | re.MULTILINE)
LABEL = re.compile(r"^\(([\w-]+)\)=$|^:(?:label|name): (\S+)$|\$\$ \(([\w-]+)\)$", re.MULTILINE)


def slug(heading: str) -> str:
    """The anchor that a heading has, on the site and wherever else Markdown is shown."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.strip().lower())
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    """What ``PAGE#...`` may name."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


LABELS = {name for page in PAGES for found in LABEL.findall(page.read_text()) for name in found if name}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = page.read_text()
    assert "@@" not in text and "TODO" not in text
    for target in re.findall(r"\]\(<?([^)>\s]+)", CODE.sub("", text)):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        leads_to = page.parent / path if path else page
        assert leads_to.exists(), target
        assert not anchor or anchor in anchors(leads_to) | LABELS, target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_is_named_is_there(page: Path) -> None:
    named = re.findall(r"\b(?:tests|src|benchmarks|examples)/[\w./-]*\w", page.read_text())
    assert not [name for name in named if not (ROOT / name).exists()]
