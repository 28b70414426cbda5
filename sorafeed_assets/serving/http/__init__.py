"""What all requests share: middleware, compression, errors, health and metrics."""
