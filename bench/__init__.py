"""What is measured of Douane, against what; `python -m bench` (`make bench`) runs it all and prints one table."""
