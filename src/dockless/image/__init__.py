"""A base + layers + config -> manifest; index; edits. Pure: no network, no clock, no environment."""
