"""Caches and notifications of one process: response cache, batched reads, change channel."""
