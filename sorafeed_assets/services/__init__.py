"""Services, which combine rules and storage: one service per job, each owning its writes.

The rooms are packages. Beside them is what reaches across rooms:

- the way of a change: `commands` and `many` write it, `settle` brings displays to what players
  read, `unwritten` keeps what Redis could not take;
- reading for clients: `queries`, with `records` and `cursors`; `attention`, `plots`;
- access: `tokens`, `pairing`, `signing`, `idempotency`;
- for Dagster and operators: `lineage`, `materialized`, `unsettled`, `watching`, `webhook`.
"""
