"""The rules of the system as pure functions and values.

Here belongs what follows from its arguments alone: what matches, what is planned, what a sensor
decides. Here does not belong what reads a clock, an environment, a file or a server, or what
knows Dagster; a rule that needs data gets it as an argument.
"""
