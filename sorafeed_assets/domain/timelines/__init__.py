"""Timelines: planning a loop, shuffling, auditing a plan, and a plan as it is stored.

Reading the candidates and plays for a plan belongs to `services.timelines`.
"""
