"""Tracked terms, counts, totals, pools and the jobs that count."""
