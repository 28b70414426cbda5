"""How many posts match each search in use, and which of them are candidates for plans."""
