"""Others at work in the same repository, and a registry whose storage is full or shut."""
