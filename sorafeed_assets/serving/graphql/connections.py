"""Relay connections."""

from collections.abc import Callable
from typing import TypeVar

from sorafeed_assets.services.records import Page
from sorafeed_assets.serving.graphql.types import Connection, Edge, PageInfo

_Record = TypeVar("_Record")
_Node = TypeVar("_Node")


def connection(page: Page[_Record], node: Callable[[_Record], _Node]) -> Connection[_Node]:
    """Turn a page of records into a connection of nodes."""
    return Connection(
        edges=[Edge(cursor=cursor, node=node(record)) for cursor, record in page.rows],
        page_info=info_of(page),
    )


def info_of(page: Page[_Record]) -> PageInfo:
    """The cursors of a page, and whether more pages follow."""
    return PageInfo(
        has_next_page=page.has_next,
        has_previous_page=page.has_previous,
        start_cursor=page.rows[0][0] if page.rows else None,
        end_cursor=page.rows[-1][0] if page.rows else None,
    )
