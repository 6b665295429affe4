"""What the use cases need from outside, beside the repositories of `domain/`: one file per role."""
