"""What clients send, as typed values: bodies, queries and headers, checked before anything is done. No I/O."""
