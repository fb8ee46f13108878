"""A report as one HTML page that needs nothing beside it, and its tables as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from headstart.reports.colours import Style
from headstart.reports.tables import Table, text

CSS = """
:root { color-scheme: light dark; --ink: #1c1e21; --paper: #fff; --faint: #666b73; --rule: #d9dce1 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e3e5e8; --paper: #17191c; --faint: #9aa0a8; --rule: #3a3e45 }
}
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem 1rem 4rem; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, sans-serif }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .5rem }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; padding-top: 1rem; border-top: 1px solid var(--rule) }
p { max-width: 44rem; margin: .5rem 0 }
.scrolls { overflow-x: auto; margin: .75rem 0 }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums }
th, td { text-align: left; vertical-align: top; padding: .3rem 1.25rem .3rem 0; border-bottom: 1px solid var(--rule) }
th { font-weight: 600 }
thead th { color: var(--faint) }
.figures { display: grid; gap: 1.25rem; margin: 1rem 0;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr)) }
figure { margin: 0; min-width: 0; max-width: 32rem }
figure svg { width: 100%; height: auto; display: block }
figure svg * { stroke-linejoin: round }
figcaption, .legend, summary, footer { font-size: .875rem; color: var(--faint) }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; padding: 0; margin: .75rem 0; list-style: none }
.legend li { display: flex; align-items: center; gap: .5rem; color: var(--ink) }
@media (max-width: 40rem) { th, td { padding-right: .75rem } }
details { margin: .75rem 0 }
footer { margin-top: 3rem; overflow-wrap: anywhere }
"""


class Picture(NamedTuple):
    """A picture and what it shows."""

    svg: str
    name: str


class Section(NamedTuple):
    """One question of a report and its answer.

    Attributes:
        heading: the question.
        paragraphs: what is shown, and how it came about.
        tables: the answer in numbers. Beside pictures they are folded away in the page.
        pictures: the answer at a glance, in groups that stand side by side where there is room.
        legend: what the lines of all the pictures stand for.
        fold: what tables without pictures are folded away under; they are not if it is empty.
    """

    heading: str
    paragraphs: Sequence[str]
    tables: Sequence[Table] = ()
    pictures: Sequence[Sequence[Picture]] = ()
    legend: Sequence[tuple[str, Style]] = ()
    fold: str = ""


def html_page(title: str, sections: Sequence[Section], footer: str, reload: int | None = None) -> str:
    """The whole page, which reloads itself every ``reload`` seconds.

    >>> page = html_page("Two runs", [Section("Accuracy", ["Of 3 tasks."])], "headstart compare a b")
    >>> page.count("http"), page.count("<script")
    (0, 0)
    """
    reloading = f"\n<meta http-equiv=refresh content={reload}>" if reload else ""
    return f"""<!doctype html>
<html lang=en>
<meta charset=utf-8>{reloading}
<meta name=viewport content="width=device-width, initial-scale=1">
<title>{text(title)}</title>
<style>{CSS}</style>
<h1>{text(title)}</h1>
{"".join(html_section(section) for section in sections)}
<footer>{text(footer)}</footer>
</html>
"""


def html_section(section: Section) -> str:
    """One section of the page."""
    tables = "\n".join(table.html() for table in section.tables)
    fold = section.fold or ("The same as a table" if section.pictures else "")
    if fold and tables:
        tables = f"<details><summary>{text(fold)}</summary>{tables}</details>"
    legend = "".join(f"<li>{swatch(style)}{text(label)}</li>" for label, style in section.legend)
    groups = ("\n".join(map(html_picture, group)) for group in section.pictures)
    parts = (
        f"<h2>{text(section.heading)}</h2>",
        *(f"<p>{text(paragraph)}</p>" for paragraph in section.paragraphs),
        f"<ul class=legend>{legend}</ul>" if legend else "",
        *(f"<div class=figures>{pictures}</div>" for pictures in groups),
        tables,
    )
    return "<section>\n" + "\n".join(part for part in parts if part) + "\n</section>\n"


def html_picture(picture: Picture) -> str:
    """A picture with its name below it."""
    svg = picture.svg.replace("<svg ", f'<svg role=img aria-label="{text(picture.name)}" ', 1)
    return f"<figure>{svg}<figcaption>{text(picture.name)}</figcaption></figure>"


def swatch(style: Style) -> str:
    """A short piece of a line as a picture, for the legend."""
    return f"<svg width=32 height=10 aria-hidden=true>{stroke(style)}</svg>"


def stroke(style: Style) -> str:
    """A short piece of a line.

    >>> stroke(Style("#0072b2", (5.0, 2.0), 2.0))
    '<line x2="32" y1="5" y2="5" stroke="#0072b2" stroke-width="2" stroke-dasharray="10 4"/>'
    """
    dashes = " ".join(f"{style.width * length:g}" for length in style.dash)
    return (
        f'<line x2="32" y1="5" y2="5" stroke="{style.colour}" stroke-width="{style.width:g}" '
        f'stroke-dasharray="{dashes}"/>'
    )


def markdown_page(title: str, sections: Sequence[Section], footer: str) -> str:
    """The tables with what is said of them, for a page of documentation; sections of pictures alone are left out."""
    parts = [f"# {title}", f"`{footer}`"]
    for section in sections:
        if section.tables or not section.pictures:
            parts += [f"## {section.heading}", *section.paragraphs, *(table.markdown() for table in section.tables)]
    return "\n\n".join(parts) + "\n"
