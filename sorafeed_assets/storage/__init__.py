"""Every statement of SQL, and every command of Redis.

Here belongs a statement as a named block with the function that sends it; a module holds one
table or one question. Here does not belong a decision about what a result means, or a transaction
that spans several of these functions: both belong to `services`.
"""
