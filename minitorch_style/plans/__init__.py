"""Plans: the neural picture of about 256 pixels that a later stage repaints, made in one of three ways."""
