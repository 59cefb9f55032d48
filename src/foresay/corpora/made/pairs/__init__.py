"""What is right and what is wrong in the pairs of spoken words and sentences: one kind of pair = one file."""
