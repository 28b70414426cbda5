"""Authentication and authorization of requests, and rate limits; tokens are in `services`."""
