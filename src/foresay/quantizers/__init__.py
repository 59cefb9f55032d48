"""From vectors to codes. One way of quantizing, one file, one class."""
