"""The API over HTTP, on real servers."""
