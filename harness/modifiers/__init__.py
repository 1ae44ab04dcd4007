"""What changes a trainer's steps, whatever the trainer."""
