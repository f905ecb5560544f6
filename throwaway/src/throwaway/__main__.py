"""`python -m throwaway` is the command `throwaway`."""

from throwaway.cli import main

main()
