"""What all SQL shares: engines, tables, migrations, retries and COPY.

Statements about the tables of one room do not belong here.
"""
