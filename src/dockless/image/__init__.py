"""A base + layers + config -> manifest. Pure: no network, no clock, no environment."""
