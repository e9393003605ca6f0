"""What Seq2Sick is measured against, in the same harness: an attack a file, all run by `baseline.py`."""
