"""SQL of rollouts: their rows, the signals of displays, and what players could not show or get."""
