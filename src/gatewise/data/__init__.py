"""Where sequences come from: text, vocabularies, batches."""
