"""What is asked of a trained supernet: estimates, normalisation, and a criterion's probe."""
