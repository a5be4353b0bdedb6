from importlib.metadata import version as installed_version

from docutils.nodes import SkipNode
from docutils.utils.math.latex2mathml import tex2mathml

project = "ricsk"
author = "The ricsk developers"
copyright = "2026, " + author
version = release = installed_version("ricsk")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build"]
# A name in single backticks links to its page, where it has one.
default_role = "py:obj"
html_math_renderer = "mathml"
html_theme = "furo"
html_title = f"ricsk {version}"
# Inherited docstrings of scikit-learn refer to its own pages, which are not read without network.
suppress_warnings = ["ref.ref"]

autosummary_generate = True
autodoc_typehints = "none"
autodoc_inherit_docstrings = True
numpydoc_show_class_members = True
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = False
toc_object_entries = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "ignore_pattern": r"demo\.py",
    # What an example prints is shown; the value of its last line is not.
    "capture_repr": (),
    "min_reported_time": 60,
    "show_memory": False,
    "download_all_examples": False,
    "abort_on_example_error": True,
}


def show_sections(app, pagename, templatename, context, doctree):
    """Let the sidebar show the sections of pages, so that the reference is grouped by them."""
    make_toctree = context["toctree"]
    context["toctree"] = lambda **options: make_toctree(**{**options, "titles_only": False})


def setup(app):
    """Group the sidebar, and write formulas as MathML, which browsers draw without a script."""

    def renderer(as_block):
        def visit(translator, node):
            translator.body.append(str(tex2mathml(node.astext(), as_block=as_block)))
            raise SkipNode

        return visit, None

    app.add_html_math_renderer("mathml", renderer(False), renderer(True))
    # Before the theme's own handler, which asks for the tree.
    app.connect("html-page-context", show_sections, priority=400)
