"""The results of the paper this project began with, reproduced and extended. See __main__."""
