"""What tensors and processes are worked on: devices, threads, memory, compiled operators."""
