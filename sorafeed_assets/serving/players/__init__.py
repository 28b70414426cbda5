"""The endpoints of players: next, played, started, events; also export and media addresses."""
