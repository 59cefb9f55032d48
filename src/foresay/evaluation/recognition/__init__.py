"""How far what a recognizer writes is from what was said."""
