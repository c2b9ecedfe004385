library(testthat)
library(clippernb)

test_check("clippernb")
