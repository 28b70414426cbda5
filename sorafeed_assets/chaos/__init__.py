"""Chaos: a wall that plays on real servers while these are killed, stopped and starved.

Here are the plan of faults, what injects them, the players and writers that go on meanwhile, and
the checks that follow. Benchmarks do not belong here, nor do tests of a single fault.
"""
