"""Tables: CSV, Parquet, JSON lines, SQL, Arrow and data frames, as sequences."""
