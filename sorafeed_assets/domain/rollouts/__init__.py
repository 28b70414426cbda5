"""Rollouts: a flag's value is given to a growing share of displays while they do as well as others.

Here are the signals, the statistic that compares them, and the states of a rollout. Not here: how
signals are read, and who acts on a decision (`services.rollouts`).
"""
