"""The Dagster shell: assets, checks and automation that gather, call a service, and answer."""
