"""``python -m ricsk`` is the command ``ricsk``."""

from ricsk.command import main

if __name__ == "__main__":
    main()
