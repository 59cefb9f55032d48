"""What audio there is, who speaks in it and what is said, and which stretches of it an update hears."""
