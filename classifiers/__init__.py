"""Attribute classifiers: training, evaluation, comparison of arms."""
