"""The catalogue as Dagster sees it: written outside, observed here."""
