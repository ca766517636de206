"""VBench as a judge: the real package, in an environment of its own, asked as a subprocess."""
