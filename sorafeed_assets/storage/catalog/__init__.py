"""SQL of posts: the match rule, pages of matches, the outbox of changes, texts in bulk."""
