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
nitpicky = False

autosummary_generate = True
autodoc_typehints = "none"
autodoc_inherit_docstrings = True
numpydoc_show_class_members = True
numpydoc_show_inherited_class_members = {"ricsk.exceptions.KeyFileError": False}
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = False
