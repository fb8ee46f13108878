"""The API reference: types link to ``headstart.NAME``, whichever file they are from; generated members are left out."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import headstart as hs


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, text: nodes.Element) -> Any:
    """Where a type is described; its name alone if it is another library's or not public."""
    target = node.get("reftarget")
    if node.get("refdomain") != "py" or not target:
        return None
    module, _, name = target.rpartition(".")
    if module == "headstart":  # whoever wrote that meant a public name
        return None
    page = node.get("refdoc", env.current_document.docname)
    found = env.get_domain("py").resolve_any_xref(env, page, app.builder, f"headstart.{name}", node, text)
    return found[0][1] if name in hs.__all__ and found else text


def is_noise(app: Sphinx, what: str, name: str, member: Any, skip: bool, options: Any) -> bool | None:
    """What Python and scikit-learn add to a class says nothing; ``None`` leaves it to Sphinx."""
    generated = name.endswith("_request") or str(getattr(member, "__doc__", "")).startswith("Alias for field number")
    return True if generated else None


def as_written(
    app: Sphinx, what: str, name: str, of: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Defaults that are functions or classes by their names: Sphinx reads no signature that has ``<function relu>``."""
    if signature:
        signature = re.sub(r"<(?:function|class) '?(?:[\w.]+\.)?(\w+)'?>", r"\1", signature).replace("functools.", "")
    return signature, returns


def as_prose(app: Sphinx, what: str, name: str, of: Any, options: Any, lines: list[str]) -> None:
    """Keeps napoleon, which comes after, from taking words before a colon in a property's docstring for its type."""
    if what == "property":
        lines[:0] = ["..", ""]


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("missing-reference", resolve)
    app.connect("autodoc-skip-member", is_noise)
    app.connect("autodoc-process-signature", as_written)
    app.connect("autodoc-process-docstring", as_prose, priority=100)
    return {"parallel_read_safe": True}
