"""Programs for the page's editor. Each is shown, and run, as it stands here."""
