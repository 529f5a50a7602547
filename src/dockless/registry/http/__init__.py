"""HTTP exchanges with registries, token servers and blob stores."""
