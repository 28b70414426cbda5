"""Rollouts: begun, evaluated and handled; what follows from a step goes the one way of a change.

`rollouts.Rollouts` is what commands, pages, `sorafeed react` and Dagster use; `reads` is for those
that only show them, and imports no more than that takes.
"""
