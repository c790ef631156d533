"""What a data set holds: tables, plots, mosaics."""
