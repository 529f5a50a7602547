"""What each goal does with an image: one file a goal."""
