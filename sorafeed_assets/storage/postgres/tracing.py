"""A span for each statement that an engine sends; values of parameters are not in it."""

from typing import Any, Final

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode
from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext

_SPAN: Final = "sorafeed_span"

_tracer: Final = trace.get_tracer(__name__)


def trace_statements(engine: Engine) -> None:
    """Open a span for each statement of an engine, named after its first word."""
    database = engine.url.database or ""

    def begin(
        connection: Any, _cursor: object, statement: str, _values: object, *_context: object
    ) -> None:
        words = statement.split(maxsplit=1)
        connection.info[_SPAN] = _tracer.start_span(
            words[0].upper() if words else "SQL",
            kind=SpanKind.CLIENT,
            attributes={
                "db.system.name": "postgresql",
                "db.namespace": database,
                "db.query.text": statement,
            },
        )

    def end(connection: Any, *_details: object) -> None:
        span: Span | None = connection.info.pop(_SPAN, None)
        if span is not None:
            span.end()

    def fail(context: ExceptionContext) -> None:
        connection = context.connection
        span: Span | None = None if connection is None else connection.info.pop(_SPAN, None)
        if span is not None:
            span.set_status(StatusCode.ERROR, type(context.original_exception).__name__)
            span.end()

    event.listen(engine, "before_cursor_execute", begin)
    event.listen(engine, "after_cursor_execute", end)
    event.listen(engine, "handle_error", fail)
