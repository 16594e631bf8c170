"""How Sphinx builds the documentation: ``make docs``."""

import ast
from pathlib import Path

project = "roomcast"
author = "the roomcast authors"
html_title = "roomcast"
html_theme = "furo"
html_theme_options = {"navigation_with_keys": True}

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
# Links out of the documentation go to files of the repository, which is not part of it.
# Server, client and test kit have a Socket each: where an annotation says no more, the first one is linked.
suppress_warnings = ["myst.xref_missing", "ref.python"]

default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {
    "members": True,
    "inherited-members": "dict,set,tuple,int,Exception,BaseException,Protocol",
}
add_module_names = False
python_use_unqualified_type_names = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Cost", "Source"]
napoleon_use_rtype = False


def _docstrings_of_the_core():
    """Read the docstrings of the extension from its stub: the extension itself has a line for each."""
    stub = Path(__file__).parents[1] / "python" / "roomcast" / "_core.pyi"
    found = {}

    def walk(nodes, prefix):
        for node in nodes:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                name = prefix + node.name
                found[name] = ast.get_docstring(node) or ""
                if isinstance(node, ast.ClassDef):
                    walk(node.body, f"{name}.")

    walk(ast.parse(stub.read_text()).body, "")
    return found


def setup(app):
    """Put the stub's docstrings in place before they are read as Google's."""
    core = _docstrings_of_the_core()

    def replace(app, what, name, obj, options, lines):
        text = core.get(name.removeprefix("roomcast.codec."))
        if text:
            lines[:] = [*text.splitlines(), ""]

    app.connect("autodoc-process-docstring", replace, priority=400)
