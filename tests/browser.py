"""A real browser without a window, which reaches this machine alone."""

import shutil
import tempfile
from contextlib import contextmanager

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--no-sandbox",  # which it has not where tests run as root
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


def find_browser():
    """Find the program of a browser; None if there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def say_what_is_missing():
    """Say why no browser can be started; None if one can."""
    if find_browser() is None:
        return f"no browser is installed, none of {', '.join(NAMES)}: apt-get install chromium"
    return None


@contextmanager
def open_browser():
    """Start a browser with a new profile; gives a context of Playwright."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as profile:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=find_browser(), headless=True, args=list(OPTIONS)
        )
        try:
            yield context
        finally:
            context.close()


def collect_errors(page):
    """Collect what scripts of a page throw, and what its console calls an error."""
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: line.type == "error" and errors.append(line.text))
    return errors
