"""A wall without servers: the planner and the queue rules against a model of time."""
