"""What the verbs of the command line do, as functions: they take and return data and print nothing."""
