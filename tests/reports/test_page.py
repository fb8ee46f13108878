"""The page stands alone, shows text as it is, and says the same as its tables in Markdown."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from headstart.reports.colours import Style
from headstart.reports.page import Picture, Section, html_page, markdown_page
from headstart.reports.tables import Strong, Table

TABLE = Table(("run", "accuracy"), [("<b>a|b</b>", Strong("95.1 ± 0.3")), ("other", "90 %")])
SECTIONS = [
    Section("First & last", ["Of <3 tasks."], [TABLE]),
    Section("Seen", ["A picture."], [TABLE], [[Picture("<svg ></svg>", 'curve "a"')]], [("maml", Style("#0072b2"))]),
    Section("Only seen", ["No table."], pictures=[[Picture("<svg ></svg>", "one"), Picture("<svg ></svg>", "two")]]),
]


class Nesting(HTMLParser):
    """Follows which elements are open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_well_formed_and_shows_text_as_it_is() -> None:
    page = html_page("a <b>", SECTIONS, "headstart compare 'a & b'")
    nesting = Nesting()
    nesting.feed(page)
    assert nesting.open == []
    for shown in ("a <b>", "First & last", "Of <3 tasks.", "<b>a|b</b>", "compare 'a & b'", "95.1\xa0±\xa00.3"):
        assert shown in nesting.text
    assert 'aria-label="curve &quot;a&quot;"' in page


def test_tables_beside_pictures_are_folded_away() -> None:
    page = html_page("title", SECTIONS, "")
    assert page.count("<table>") == 2 and page.count("<details>") == 1 and page.count("class=figures") == 2
    assert page.index("<table>") < page.index("<details>") < page.rindex("<table>")


def test_the_page_is_for_light_dark_wide_and_narrow() -> None:
    page = html_page("title", [], "")
    assert "prefers-color-scheme: dark" in page and "width=device-width" in page and "max-width: 40rem" in page
    used, defined = set(re.findall(r"var\((--\w+)\)", page)), re.findall(r"(--\w+):", page)
    assert {defined.count(name) for name in used} == {2}, "every colour is defined for light and for dark"


def test_the_markdown_has_the_tables_and_what_is_said_of_them() -> None:
    page = markdown_page("title", SECTIONS, "headstart compare a b")
    assert page.startswith(
        "# title\n\n`headstart compare a b`\n\n## First & last\n\nOf <3 tasks.\n\n| run | accuracy |"
    )
    assert page.count("| <b>a\\|b</b> | **95.1 ± 0.3** |") == 2 and page.endswith("| other | 90 % |\n")
    assert "Only seen" not in page and "<svg" not in page
    page = markdown_page("title", [Section("No", ["There is nothing."])], "a b")
    assert page == "# title\n\n`a b`\n\n## No\n\nThere is nothing.\n"
