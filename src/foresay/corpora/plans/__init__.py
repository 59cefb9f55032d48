"""Which items, or parts of them, make up which batch."""
