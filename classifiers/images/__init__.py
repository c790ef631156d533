"""What classifiers look at: packed images, photographs, augmentation."""
