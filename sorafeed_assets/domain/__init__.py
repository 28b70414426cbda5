"""The rules of the system as pure functions and values.

A function belongs here if its result depends only on its arguments: what matches, what is
planned, what a sensor decides. Code that reads a clock, the environment, a file or a server,
or imports Dagster, does not belong here; a rule gets its data as arguments.
"""
