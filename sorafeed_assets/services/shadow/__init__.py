"""Comparing this system with the old one: both count and plan from the same state.

Nothing here writes anything but the results. The old side is read by one connection, one
statement at a time, within a budget.
"""
