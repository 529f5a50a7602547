"""Tar archives: headers, a bounded reader, access to members in place."""
