"""What `small_gan.py` is made of: data, floors, measures, trainings, the table."""
