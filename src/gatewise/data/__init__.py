"""Where sequences come from: text, tables, databases, sound, pen strokes, images, arrays; how they are split and
batched; vocabularies and calendars."""
