"""Following the old system: its catalogue, its queues, and what differs.

It writes into the rooms `catalog` and `playlists` as the scanner and an operator would, and settles
displays through `services.settle`. No other room knows it.
"""
