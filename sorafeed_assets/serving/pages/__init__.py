"""The admin pages and the player page: routes, view models, templates, scripts."""
