"""Values of flags that are given to a growing share of displays."""
