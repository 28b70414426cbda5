"""The page Posts: find posts by words, and see which displays play them."""

from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.services.timelines.found_posts import MOST, FoundPost, find_posts
from sorafeed_assets.serving.pages.rendering import render
from sorafeed_assets.serving.pages.signing_in import permitted
from sorafeed_assets.serving.state import ServerState

_PAGE: Final = "/admin/posts"
# Displays named for a search; the number of the others follows.
_NAMED: Final = 8


async def show(request: Request) -> Response:
    """The form, and what was found by the words of the address."""
    principal = permitted(request, _PAGE)
    if isinstance(principal, Response):
        return principal
    server: ServerState = request.app.state.server
    words = request.query_params.get("words", "").strip()
    found: list[FoundPost] = []
    problem, status = "", 200
    if words:
        try:
            found = await server.run(lambda: find_posts(server.engine, words))
        except InvalidInputError as error:
            problem, status = error.problem, 400
    body = render("posts.html", words=words, found=found, problem=problem, most=MOST, named=_NAMED)
    return HTMLResponse(body, status)
