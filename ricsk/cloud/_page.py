"""The page of a service: three files, and what a browser may do with them."""

from __future__ import annotations

from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

__all__ = ["make_routes"]

_FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
# Its own files and this service, and nothing else.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def make_routes() -> list[Route]:
    """Read the files, and make the routes at which they are found."""
    return [_make_route(path, name, kind) for path, (name, kind) in _FILES.items()]


def _make_route(path: str, name: str, kind: str) -> Route:
    content = files("ricsk.cloud").joinpath("page", name).read_bytes()

    async def show_page(_: Request) -> Response:
        return Response(content, media_type=kind, headers=_HEADERS)

    return Route(path, show_page)
