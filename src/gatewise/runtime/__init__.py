"""What a trained model needs to run without torch."""
