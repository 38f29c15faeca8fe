"""Run the command line with `python -m lstmcli`."""

from lstmcli.cli.app import main

if __name__ == "__main__":
    main()
