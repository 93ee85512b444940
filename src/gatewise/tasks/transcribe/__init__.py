"""Speech, pen strokes or images of text lines into text (CTC)."""
