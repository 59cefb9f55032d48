"""Speech (and pictures) -> frames."""
