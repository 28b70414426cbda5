"""An OpenTelemetry collector on a port of this machine: decodes and keeps the spans it is sent."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from gzip import decompress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass(frozen=True, slots=True)
class SentSpan:
    """A span as it was sent; ids are hex, ``links`` are the traces it is linked to."""

    process: str
    name: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, str]
    links: frozenset[str]


@dataclass
class Collector:
    """What the collector has got."""

    url: str = ""
    spans: list[SentSpan] = field(default_factory=list)

    def named(self, process: str, name: str) -> list[SentSpan]:
        """The spans of a process with this name."""
        return [span for span in self.spans if (span.process, span.name) == (process, name)]

    def of_trace(self, trace: str) -> dict[str, SentSpan]:
        """Id → span of a trace."""
        return {span.id: span for span in self.spans if span.trace == trace}


def spans_of(body: bytes) -> list[SentSpan]:
    """The spans of a request of OTLP by HTTP."""
    request = ExportTraceServiceRequest()
    request.ParseFromString(body)
    return [
        SentSpan(
            next(a.value.string_value for a in resource.attributes if a.key == "service.name"),
            span.name,
            span.trace_id.hex(),
            span.span_id.hex(),
            span.parent_span_id.hex(),
            {a.key: a.value.string_value or str(a.value.int_value) for a in span.attributes},
            frozenset(link.trace_id.hex() for link in span.links),
        )
        for sent in request.resource_spans
        for resource in [sent.resource]
        for scope in sent.scope_spans
        for span in scope.spans
    ]


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector for as long as the block lasts."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = decompress(body)
            assert self.path == "/v1/traces"
            collector.spans += spans_of(body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_details: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
