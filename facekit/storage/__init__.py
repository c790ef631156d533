"""Files, archives, arrays and tables, and the columns that tables have."""
