"""What runs when: the jobs, their schedule, and the prepared manifest of the models."""
