"""Every SQL statement, and every Redis command.

A statement belongs here as a named block with the function that sends it; a module has one
table or one question. Decisions about what a result means do not belong here, nor a transaction
that spans several of these functions; both belong to `services`.
"""
