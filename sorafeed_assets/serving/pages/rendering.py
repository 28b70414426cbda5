"""Rendering the templates of the pages."""

from datetime import datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sorafeed_assets.domain.text import sentence


@cache
def templates() -> Environment:
    """The environment of all templates."""
    # Every template escapes, because text of posts and users is never markup.
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters["moment"] = _moment
    environment.filters["number"] = lambda number: f"{number:,}"
    environment.filters["sentence"] = sentence
    return environment


def _moment(moment: datetime) -> str:
    return f"{moment:%d %b %Y, %H:%M} UTC"


def render(template: str, **values: object) -> bytes:
    """Render a template as UTF-8."""
    return templates().get_template(template).render(**values).encode("utf-8", "replace")
