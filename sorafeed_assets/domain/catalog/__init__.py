"""What matches: searches, their text, and the compiled automaton. No I/O."""
