"""Language models: characters, words or byte-pairs."""
