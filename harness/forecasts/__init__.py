"""What a study or a grid will take, before anything is trained."""
