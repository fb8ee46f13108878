"""The directive ``{measured} METHOD``: what the committed records say of a method, made when the site is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from headstart.experiments.methods import METHODS
from headstart.experiments.reproduction import read_records
from headstart.reports.measured import measured

RESULTS = Path(__file__).parents[2] / "results"


class Measured(SphinxDirective):
    """The measured rows of a method, as if they stood in the page."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The rows."""
        (method,) = self.arguments
        if method not in METHODS:
            raise self.error(f"there is no method {method!r}; `headstart methods` lists them.")
        self.env.note_reread()  # records may have come since the page was read
        return self.parse_text_to_nodes(measured(method, read_records(RESULTS)))


def setup(app: Sphinx) -> dict[str, Any]:
    """Makes the directive known to Sphinx."""
    app.add_directive("measured", Measured)
    return {"parallel_read_safe": True}
