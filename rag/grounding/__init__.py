"""Whether a text is held by others: facts compared exactly, numbers that contradict, vocabulary covered."""
