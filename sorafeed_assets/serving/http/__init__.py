"""What every request passes: middleware, errors, health, metrics."""
