"""Authentication: sources of credentials, challenges and tokens."""
