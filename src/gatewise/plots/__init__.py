"""Pictures that several tasks draw."""
