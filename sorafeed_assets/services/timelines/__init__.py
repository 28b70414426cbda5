"""Planning and publishing timelines, advancing queues, and what people see of them.

- planning: `service` has the transactions, `rebuild` what happens in one, with the parts of
  `builder`. `planning` plans with `candidate_book`, `known_pools`, `last_plays` and `creators`;
  `publishing` makes the queues follow.
- playing: `playback` records plays, with the walks of `advancing` and `late`; `jumping` goes back
  and forth; `driving` says which system drives a display.
- before a play needs it: `plan_ends` for `react`, `ahead` for players without a server.
- reading: `views`, `queues`, `previewing`, `guide`, `history`, `found_posts`, `repeats`, `frames`.
- by people: `remote`, `excluding`. For Dagster's checks: `checks`.
"""
