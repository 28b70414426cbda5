"""The admin pages: routes and view models."""
