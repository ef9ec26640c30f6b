"""`python -m collector_processor` is `foreband`."""

from collector_processor.cli import main

if __name__ == "__main__":
    main()
