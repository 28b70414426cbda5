"""Tracked terms, counts, totals, pools and the jobs that count.

- writing counts and pools: `refresh`, with `from_text`, `pool_changes` and `tallies`; `totals`
  after it; `pools` as a whole;
- which terms are counted and when: `terms`, `jobs`, `priority`;
- reading: `reads`, `typeahead` for a search that is typed; `pending` and `searching` for plans;
- for Dagster: `lineage`, `mend`.
"""
