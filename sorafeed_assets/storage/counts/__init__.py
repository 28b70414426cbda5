"""SQL of counts per day, totals, candidate pools, tracked terms and count jobs."""
