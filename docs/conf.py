import re
from importlib.metadata import version as installed_version

from docutils.nodes import SkipNode
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx_gallery.sorting import ExplicitOrder

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
templates_path = ["_templates"]
exclude_patterns = ["_build"]
# A name in single backticks links to its page, where it has one.
default_role = "py:obj"
html_math_renderer = "mathml"
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_title = f"ricsk {version}"

autosummary_generate = True
autodoc_typehints = "none"
autodoc_inherit_docstrings = True
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
toc_object_entries = False

# A link that leads nowhere is an error, except for
nitpicky = True
nitpick_ignore_regex = [
    # parameters, attributes, and names of other packages, whose pages are not read without network,
    ("py:.*", r"(?!ricsk\.)[a-z_][\w.=]*|[A-Z]"),
    # and what scikit-learn's own users know without its module.
    ("py:obj", r"FrozenEstimator|Pipeline|PCA|MLPClassifier|(Nu)?SVC|\w+Scaler"),
]

FIRST = ["schemes", "sealed", "etc", "keyed", "ric", "transformation", "attacks", "audit"]
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "ignore_pattern": r"demo\.py",
    "within_subsection_order": ExplicitOrder([*(f"plot_{name}.py" for name in FIRST), "*"]),
    # Names in examples link to the reference, and the reference shows the examples of a name.
    "doc_module": ("ricsk",),
    "reference_url": {"ricsk": None},
    "backreferences_dir": "api/backreferences",
    # What an example prints is shown; the value of its last line is not.
    "capture_repr": (),
    "min_reported_time": 60,
    "show_memory": False,
    "download_all_examples": False,
    "abort_on_example_error": True,
}


def find_by_last_name(app, env, node, contnode):
    """Link the name of a class, and of its methods, from wherever it stands without its module."""
    name = re.search(r"(?<!\w)[A-Z]\w+(\.\w+)?$", node.get("reftarget", ""))
    if name is None or node.get("refdomain") != "py":
        return None
    domain = env.get_domain("py")
    public = [path for path, entry in domain.objects.items() if not entry.aliased]
    found = [path for path in public if path.endswith(f".{name[0]}")]
    if len(found) != 1:
        return None
    document, role = node["refdoc"], node["reftype"]
    return domain.resolve_xref(env, document, app.builder, role, found[0], node, contnode)


def skip_foreign_members(app, what, name, member, skip, options):
    """Leave out methods that scikit-learn, skorch or torch define."""
    module = getattr(getattr(member, "fget", member), "__module__", None)
    return skip or not str(module).startswith("ricsk")


def show_sections(app, pagename, templatename, context, doctree):
    """Let the sidebar show the sections of pages, so that the reference is grouped by them."""
    make_toctree = context["toctree"]
    context["toctree"] = lambda **options: make_toctree(**{**options, "titles_only": False})


def setup(app):
    """Connect the above, and write formulas as MathML, which browsers draw without a script."""

    def renderer(as_block):
        def visit(translator, node):
            translator.body.append(str(tex2mathml(node.astext(), as_block=as_block)))
            raise SkipNode

        return visit, None

    app.add_html_math_renderer("mathml", renderer(False), renderer(True))
    app.connect("missing-reference", find_by_last_name)
    app.connect("autodoc-skip-member", skip_foreign_members)
    # Before the theme's own handler, which asks for the tree.
    app.connect("html-page-context", show_sections, priority=400)
