"""From scores to symbols, in numpy: sampling, beam search, CTC."""
