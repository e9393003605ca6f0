"""Training of classifiers: a method is a vicinity of the data, and one trainer trains them all."""
