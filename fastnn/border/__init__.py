"""The border: what users bring becomes checked arrays, or an error that says what to do."""
