"""SQL of flags: the versions of their definitions, and the displays that keep a value.

What a definition may say is in `domain.flags`, how it is evaluated in `services.flags`.
"""
