"""Rules between the goals and the library: one family a file."""
