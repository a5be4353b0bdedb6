"""The guide page on the command says what the command says."""

import textwrap
from pathlib import Path

import pytest
from click.testing import CliRunner

from ricsk.command import _app
from ricsk.command._errors import ExitCode

PAGE = (Path(__file__).parents[2] / "docs" / "guide" / "command.rst").read_text()


@pytest.mark.parametrize("name", sorted({*_app.app.commands} - {"serve"}))
def test_the_guide_has_the_help_of_every_command(name):
    arguments = [name, "--help"]
    runner = CliRunner(env={"COLUMNS": "80"})
    found = runner.invoke(_app.app, arguments, prog_name="ricsk")
    assert textwrap.indent(found.output.rstrip(), "    ") in PAGE


def test_the_guide_has_every_code():
    assert all(f"\n{code.value:<7}" in PAGE for code in ExitCode)
