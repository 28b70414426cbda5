"""The alerts of Prometheus on the overview, and the runbook to which they link: docs/runbook.md."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from sorafeed_assets.services.tokens import Role
from sorafeed_assets.serving.pages.rendering import render
from sorafeed_assets.serving.pages.signing_in import permitted, principal_of
from sorafeed_assets.serving.state import ServerState

if TYPE_CHECKING:
    from markdown_it.token import Token

_PACKAGE: Final = Path(__file__).parents[2]
# In the package of an installation, and in a checkout.
_PLACES: Final = (_PACKAGE / "runbook.md", _PACKAGE.parent / "docs" / "runbook.md")


async def firing(request: Request) -> Response:
    """The part of the overview that has the alerts."""
    server: ServerState = request.app.state.server
    principal_of(request).must_read()
    return HTMLResponse(render("alerts.html", alerts=server.alerts))


async def runbook(request: Request) -> Response:
    """The runbook."""
    principal = permitted(request, "/admin/runbook")
    if isinstance(principal, Response):
        return principal
    is_admin = principal.token.role is Role.ADMIN
    server: ServerState = request.app.state.server
    body = render(
        "runbook.html", text=_text(), is_admin=is_admin, has_old_system=server.has_old_system
    )
    return HTMLResponse(body)


@cache
def _text() -> Markup:
    # Imported late: it takes a process of the API a tenth of a second, and players do not need it.
    from markdown_it import MarkdownIt

    source = next(place for place in _PLACES if place.exists())
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(source.read_text("utf-8"))
    for number, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrSet("id", _anchor(tokens[number + 1].content))
        elif token.type == "fence":
            token.info = ""
        _unlink(token.children or [])
    # The parser escapes what it does not make itself.
    return Markup(parser.renderer.render(tokens, parser.options, {}))  # noqa: S704


def _anchor(heading: str) -> str:
    return heading.lower().replace(" ", "-")


def _unlink(tokens: "list[Token]") -> None:
    """Leave only the words of links to other pages of the docs, which are not served."""
    is_inside = True
    for token in tokens:
        if token.type == "link_open":
            is_inside = str(token.attrGet("href")).startswith("#")
        if token.type in {"link_open", "link_close"} and not is_inside:
            token.tag, token.attrs = "span", {}
