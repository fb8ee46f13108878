"""How the site is built: ``sphinx-build -W --keep-going -n -b html docs site``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))
# The pages run in processes of their own: with our pictures, the programs beside this Python, and one thread each.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
os.environ.setdefault("OMP_NUM_THREADS", "1")

project = "headstart"
author = copyright = "The headstart authors"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",
    "sphinx_copybutton",
    "public_names",
]
exclude_patterns = ["pictures", "extensions", "**/__pycache__", "**.ipynb_checkpoints"]

myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
myst_links_external_new_tab = False
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_merge_streams = True
nb_code_prompt_show, nb_code_prompt_hide = "Show the code", "Hide the code"

autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
napoleon_custom_sections = [("Shapes", "params_style")]
napoleon_use_ivar = True
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
maximum_signature_line_length = 90

html_theme = "furo"
pygments_dark_style = "github-dark"
html_title = "headstart"
html_copy_source = html_show_sourcelink = False
html_show_sphinx = False
html_static_path = ["static"]
html_css_files = ["headstart.css"]


def language_of_page(app, pagename, templatename, context, doctree):
    """What browsers and screen readers are told."""
    if pagename.startswith("zh/"):
        context["language"] = "zh-CN"


def setup(app):
    """Sphinx calls it once."""
    app.connect("html-page-context", language_of_page)
