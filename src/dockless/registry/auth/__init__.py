"""Who we are to a registry: one file for each place that knows."""
