"""What docs/operators-guide.md and docs/engineers-guide.md walk through, in a real browser.

`make pictures` saves the pictures of both pages, and those of pages that other docs show.
"""
