"""Timelines: planning a loop, shuffling, auditing a plan, and a plan as it is stored.

Which candidates and plays a plan gets belongs to `services.timelines`.
"""
