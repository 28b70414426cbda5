"""What all SQL shares: engines, tables, migrations, retries and COPY.

No statement about a table of one room belongs here.
"""
