"""Flags: which are known, and what a definition in flagd's JSON may say.

How a definition is evaluated, stored and changed belongs to `services.flags`.
"""
