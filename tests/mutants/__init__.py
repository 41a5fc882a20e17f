"""Small mistakes that are put into the library one at a time: the tests must notice each."""
