"""Comparing with the old system in Dagster; there only while an old catalogue is named."""
