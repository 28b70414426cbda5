"""What a player calls: next, played, started, events, exports, media addresses."""
