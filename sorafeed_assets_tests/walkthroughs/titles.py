"""Posts with titles that read well in pictures."""

from typing import Final

from sqlalchemy import Engine, text

SUBJECTS: Final = {
    "cooking show": (
        "Ramen from scratch", "A pie for two", "The five-minute omelette", "Bread without kneading",
        "Dumplings by hand", "One pan, one pot", "The last tomato", "Soup for a storm",
        "A cake that never falls", "Breakfast at noon", "Rice, three ways", "The quiet kitchen",
    ),
    "movie trailer": (
        "The Lighthouse Keeper", "Two Trains", "A Summer of Snow", "The Clockmaker", "Paper Planes",
        "North of Nowhere", "The Understudy", "Low Tide", "Half a Map", "The Long Encore",
        "Night Ferry", "Seven Doors",
    ),
    "nature documentary": (
        "Otters at dawn", "The oldest tree", "A river from above", "Whales in winter",
        "The city's foxes", "Under the ice", "Hummingbirds, slowly", "A desert in bloom",
        "Storks come home", "The reef at night", "Bears and berries", "A meadow in June",
    ),
}  # fmt: skip

_INSERT: Final = text("""
INSERT INTO sora_posts (id, text, posted_at, indexed_at, video_url, thumbnail_url, width, height)
SELECT :id, :text, moment, moment, 'https://videos.example.invalid/v.mp4',
       'https://videos.example.invalid/v.webp', 640, 352
FROM (SELECT now() - make_interval(hours => :hours) AS moment) AS posted
""")


def add_titled_posts(engine: Engine, *, days: int = 1) -> None:
    """Add twelve posts of each subject, over the last ``days``."""
    posts = [
        {"id": f"{subject[:4]}{number:02}", "text": f"{title} · {subject}", "hours": hours}
        for subject, titles in SUBJECTS.items()
        for number, title in enumerate(titles, 1)
        for hours in [number * 24 * days // (len(titles) + 1)]
    ]
    with engine.begin() as connection:
        connection.execute(_INSERT, posts)
