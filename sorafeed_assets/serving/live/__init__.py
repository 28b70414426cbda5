"""What one process keeps and hears: response cache, batched reads, the change channel."""
