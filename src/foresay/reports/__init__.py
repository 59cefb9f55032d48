"""One HTML page about one or several runs, drawn from the files of their folders: no model and no torch is imported here."""
