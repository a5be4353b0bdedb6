from importlib.metadata import version as installed_version

project = "ricsk"
author = "The ricsk developers"
copyright = "2026, " + author
version = release = installed_version("ricsk")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
]
exclude_patterns = ["_build"]
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
