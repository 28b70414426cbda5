"""SQL of posts: the match predicate, pages of matches, the outbox, streams of texts."""
