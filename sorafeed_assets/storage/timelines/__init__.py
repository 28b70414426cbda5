"""SQL of builds, queues, plays and playback states.

`reads` and `writes` are those of planning, `advance` and `late_plays` those of playing; the others
have one question or one table each.
"""
