"""What is said in the miniature of SUPERB: one kind of data = one file, each with a `plan` of its clips."""
