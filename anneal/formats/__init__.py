"""File formats, read and written without trusting the file."""
