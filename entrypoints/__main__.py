"""`python -m entrypoints`: the command line, if `taskport` itself is not installed."""

from entrypoints.cli import main

if __name__ == "__main__":
    main()
