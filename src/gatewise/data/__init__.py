"""Where sequences come from: text, tables, databases; vocabularies, calendars, batches."""
