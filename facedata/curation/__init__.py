"""Which images stay: flags, doubtful labels, and the reviewer's word."""
