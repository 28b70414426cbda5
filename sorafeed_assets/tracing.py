"""OpenTelemetry traces of a process: off unless the settings name an endpoint.

Modules open spans through OpenTelemetry's API, which does nothing until `start_tracing` was called.
The SDK, which sends them, is the extra [tracing]; it is imported here only, and only when used.
"""

from typing import TYPE_CHECKING, Final, Literal

from opentelemetry import trace

from sorafeed_assets.extras import require
from sorafeed_assets.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

Process = Literal["sorafeed-api", "sorafeed-react"]
"""The `service.name` of a process."""

_PATH: Final = "v1/traces"
# A collector that does not answer must not hold up the end of a process.
_SEND_SECONDS: Final = 3.0


def start_tracing(settings: Settings, process: Process) -> None:
    """Send this process's spans to ``settings.otlp_endpoint``; do nothing without one.

    Raises:
        SetupError: an endpoint is set, but the extra is not installed.
    """
    if settings.otlp_endpoint is None:
        return
    require("tracing")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.redis import RedisInstrumentor
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    class Caused(BatchSpanProcessor):
        """Sends spans, except single calls of a server that no work caused: loops that look."""

        def on_end(self, span: "ReadableSpan") -> None:
            if span.parent is not None or span.kind is not trace.SpanKind.CLIENT:
                super().on_end(span)

    address = f"{str(settings.otlp_endpoint).rstrip('/')}/{_PATH}"
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: process}))
    provider.add_span_processor(Caused(OTLPSpanExporter(address, timeout=_SEND_SECONDS)))
    trace.set_tracer_provider(provider)
    RedisInstrumentor().instrument()
