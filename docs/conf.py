"""The site of docs/: `make docs` builds it, without a network and with every warning an error."""

from __future__ import annotations

import re
from typing import Any

import flatreg.penalty
import flatreg.statistics

project = "flatreg"
author = "The flatreg developers"
copyright = author
html_title = "flatreg"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

# The pages are Markdown that reads the same on a host of repositories.
source_suffix = {".md": "markdown"}
myst_heading_anchors = 3

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False

# Docstrings: Google style, single backticks around code.
default_role = "code"
highlight_language = "text"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_attr_annotations = False
napoleon_custom_sections = [("References", "notes_style")]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_maximum_signature_line_length = 88

# Names of other libraries are not linked: that would take their inventories from the network.
nitpick_ignore_regex = [("py:.*", r"(jax|jaxlib|numpy|np|flax|nn|optax|collections|typing)\..*")]
# A tree of parameters, of any kind.
nitpick_ignore = [("py:class", "Params")]

# What a docstring may name in single backticks, and is linked there.
DOCUMENTED = {
    name: f"{package.__name__}.{name}"
    for package in (flatreg.penalty, flatreg.statistics)
    for name in package.__all__
}


def adapt_docstring(
    app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """Make reStructuredText of what docstrings say in plain text, in place.

    An indented block is a formula or a list to be kept as it is, each of the references is an item
    of a list, bars are norms and not substitutions, and a documented name is a link.
    """
    del app, what, name, thing, options
    adapted: list[str] = []
    literal = references = False
    for line in lines:
        if line and not line.startswith(" "):
            literal, references = False, line == "References:"
        elif line and not references and _begins_block(adapted):
            literal = True
            adapted += ["::", ""]
        if line.startswith(" ") and references:
            # Initials and a name begin one; escaped, as "F." would begin a numbered list.
            starts = re.match(r" +([A-Z]\. )+[A-Z]", line)
            line = ("    * \\" if starts else "      ") + line.strip()
        if not literal:
            line = re.sub(r"(?<!`)`([A-Za-z_]+)`(?!`)", _linked, line).replace("|", r"\|")
        adapted.append(line)
    lines[:] = adapted


def _begins_block(before: list[str]) -> bool:
    """Whether an indented line after these begins a block: a blank line, and text at the margin."""
    return len(before) > 1 and before[-1] == "" and not before[-2].startswith(" ")


def _linked(found: re.Match[str]) -> str:
    target = DOCUMENTED.get(found[1])
    return found[0] if target is None else f":py:obj:`~{target}`"


def adapt_page(app: Any, name: str, source: list[str]) -> None:
    """Let links to Markdown outside of docs/ be files to look at, as all that leave it are."""
    del app, name
    source[0] = re.sub(r"\]\((\.\./[^)#]+\.md)\)", r"](path:\1)", source[0])


def setup(app: Any) -> None:
    """Register both passes, that over docstrings before napoleon's own."""
    app.connect("source-read", adapt_page)
    app.connect("autodoc-process-docstring", adapt_docstring, priority=400)
