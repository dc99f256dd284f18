"""`python -m mas_fast`: the command mas-fast."""

from mas_fast.cli import main

if __name__ == "__main__":
    main()
