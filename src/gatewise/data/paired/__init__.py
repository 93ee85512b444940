"""Two things that belong together: text pairs, transcripts, captions."""
